/**
 * One app under test and the steps of an experiment on it: warm up, load and sample, rest. An A/B
 * run has several lanes and takes their steps in turn.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CofferdamError } from '../errors.ts';
import { explainDeath } from './early-end.ts';
import { askOnce, startLoad } from './load.ts';
import type { FailureClass, Outcome } from './load-request.ts';
import type { LoadResult, Protocol, RequestTemplate } from './load.ts';
import { hasNumber, numberTemplates } from './requests.ts';
import type { Phase, Sample } from './series.ts';
import type { Death, Target } from './target.ts';

export interface LaneOptions {
  readonly templates: readonly RequestTemplate[];
  /** Requests per second; null = found while warming up. */
  readonly ratePerSecond: number | null;
  readonly connections: number;
  /** Requests per checkpoint; null = what 0.4 s hold. */
  readonly batch: number | null;
  /** Go on although the app answers with errors. */
  readonly anyStatus: boolean;
  /** Speak HTTP/1.1 to a TLS server that could do HTTP/2. */
  readonly http1?: boolean;
}

export interface Lane {
  readonly target: Target;
  readonly samples: readonly Sample[];
  /** Whether every request has a URL of its own. */
  readonly unique: boolean;
  readonly ratePerSecond: () => number;
  setRate(ratePerSecond: number): void;
  readonly answered: () => number;
  readonly failures: () => Readonly<Partial<Record<FailureClass, number>>>;
  /** Median and 99th percentile of the last batch, from the intended start. */
  readonly latency: () => { readonly p50Ms: number; readonly p99Ms: number };
  /** One batch and one sample of the warm-up; true when the curve has settled. */
  warmUp(): Promise<boolean>;
  /** One batch and one sample. */
  step(phase: Phase): Promise<Sample>;
  /** So many requests, no sample. */
  drive(count: number): Promise<void>;
  /** A sample after some idle time. */
  rest(ms: number): Promise<Sample>;
}

/** @throws CofferdamError COF_APP_ANSWERS_BADLY when the first answers are no good. */
export async function openLane(target: Target, options: LaneOptions): Promise<Lane> {
  const unique = await checkAnswers(target, options);
  const samples: Sample[] = [];
  const state: State = {
    rate: options.ratePerSecond ?? FIRST_RATE,
    answered: 0,
    failures: {},
    latency: { p50Ms: 0, p99Ms: 0 },
    startedAt: performance.now(),
    warmBatches: 0,
    warmCount: FIRST_BATCH,
  };
  const run = (count: number, identical: boolean): Promise<boolean> =>
    runBatch(
      target,
      options,
      state,
      count,
      identical ? 'identical' : unique ? 'unique' : 'as given',
    );
  const take = async (phase: Phase): Promise<Sample> => {
    const atMs = performance.now() - state.startedAt;
    const sample = await target.sample({ requests: state.answered, atMs, phase });
    samples.push(sample);
    return sample;
  };
  // The first samples compile the probe itself, and are thrown away.
  for (let i = 0; i < PROBE_WARM_UP; i++)
    await target.sample({ requests: 0, atMs: 0, phase: 'warm-up' });
  await take('warm-up');
  return {
    target,
    samples,
    unique,
    ratePerSecond: () => state.rate,
    setRate(ratePerSecond) {
      state.rate = ratePerSecond;
    },
    answered: () => state.answered,
    failures: () => state.failures,
    latency: () => state.latency,
    async warmUp() {
      const count = Math.min(batchOf(options, state), state.warmCount);
      const easy = await run(count, false);
      if (options.ratePerSecond === null) adaptRate(state, easy);
      state.warmBatches += 1;
      const before = samples.at(-1)?.heapUsedBytes ?? 0;
      const { heapUsedBytes } = await take('warm-up');
      if (heapUsedBytes - before < CAREFUL_BYTES) state.warmCount *= 2;
      return state.warmBatches >= WARM_BATCHES && hasSettled(samples);
    },
    async step(phase) {
      await run(batchOf(options, state), phase === 'identical');
      return take(phase);
    },
    async drive(count) {
      await run(count, false);
    },
    async rest(ms) {
      await sleep(ms);
      return take('rest');
    },
  };
}

// --- internal ---

const PROBE_WARM_UP = 5;
const FIRST_RATE = 100;
const FIRST_BATCH = 10;
const WARM_BATCHES = 9;

/**
 * A batch that leaves so much is not doubled: a leak that kills in seconds needs checkpoints too.
 */
const CAREFUL_BYTES = 8 * 2 ** 20;

/** A desktop-class app answers it with ease; more would measure our own generator. */
const RATE_MAX = 1000;
const RATE_MIN = 5;

/** The time a batch should take: long beside the collection, short beside the minute. */
const BATCH_SECONDS = 0.4;
const BATCH_MIN = 20;
const BATCH_MAX = 400;

/** What the app still does after its last answer: closing sockets, flushing logs. */
const DRAIN_MS = 15;

/** Above it, at this rate, requests wait for each other: half the rate is the app's. */
const EASY_P99_MS = 250;

/** So many lost in a row, and none answered: the app is gone. */
const LOST_LIMIT = 10;
const WATCH_MS = 250;

interface State {
  rate: number;
  answered: number;
  failures: Partial<Record<FailureClass, number>>;
  latency: { p50Ms: number; p99Ms: number };
  readonly startedAt: number;
  warmBatches: number;
  warmCount: number;
}

function protocolOf(target: Target, { http1 }: LaneOptions): Protocol {
  return http1 === true && target.url.startsWith('https:') ? 'http1' : target.protocol;
}

function batchOf(options: LaneOptions, state: State): number {
  const wanted = options.batch ?? Math.round(state.rate * BATCH_SECONDS);
  return options.batch ?? Math.min(BATCH_MAX, Math.max(BATCH_MIN, wanted));
}

/** True when the app answered in time and nothing piled up. */
async function runBatch(
  target: Target,
  options: LaneOptions,
  state: State,
  count: number,
  mode: 'unique' | 'identical' | 'as given',
): Promise<boolean> {
  const load = startLoad({
    url: target.url,
    protocol: protocolOf(target, options),
    ratePerSecond: state.rate,
    requests: numberTemplates(options.templates, mode, state.answered),
    totalRequests: count,
    maxOutstanding: options.connections,
    // Where it listens is this machine, even if the address is not that of the loopback.
    allowRemote: true,
    timeoutMs: REQUEST_TIMEOUT_MS,
  });
  // An app that answers nobody would hold each of them until its timeout.
  const watch = setInterval(() => {
    const { ok, failed, failures } = load.snapshot();
    if (ok === 0 && failed - failures.non_2xx >= LOST_LIMIT) void load.stop();
  }, WATCH_MS);
  const result = await load.finished;
  clearInterval(watch);
  state.answered += result.ok + (result.failures.non_2xx ?? 0);
  state.latency = { p50Ms: result.latency.p50Ms, p99Ms: result.latency.p99Ms };
  for (const [name, failed] of Object.entries(result.failures)) {
    const key = name as FailureClass;
    if (failed > 0) state.failures[key] = (state.failures[key] ?? 0) + failed;
  }
  const lost = result.failed - result.failures.non_2xx;
  if (lost >= Math.min(count, LOST_LIMIT) && result.ok === 0 && target.death() === null) {
    const message = `the app answers no more (${firstNote(result)})`;
    throw new CofferdamError('COF_APP_ANSWERS_BADLY', message, {
      hint: 'It accepted requests before; its own log may say why.',
    });
  }
  if (result.failures.non_2xx > count / 2 && !options.anyStatus) {
    const message = `the app answers with errors now (${firstNote(result)})`;
    throw new CofferdamError('COF_APP_ANSWERS_BADLY', message);
  }
  await sleep(DRAIN_MS);
  return result.latency.p99Ms < EASY_P99_MS && result.backlog === 0;
}

/** `GET /: 500`: without our class of failure, and without our mark in the query. */
function firstNote({ notes }: LoadResult): string {
  const [note = 'no answer'] = notes;
  return note.replace(/^\w+: /, '').replace(/[?&]cofferdam=[\w{}-]+/, '');
}

function adaptRate(state: State, easy: boolean): void {
  const rate = easy ? state.rate * 1.6 : state.rate / 2;
  state.rate = Math.round(Math.min(RATE_MAX, Math.max(RATE_MIN, rate)));
}

/** Two floors in a row that differ by less than a hundredth. */
function hasSettled(samples: readonly Sample[]): boolean {
  const [before, after] = samples.slice(-2).map((sample) => sample.heapUsedBytes);
  if (before === undefined || after === undefined) return false;
  return Math.abs(after - before) < before / 100;
}

/**
 * Asks each kind of request once. Returns whether the app takes unique URLs as it takes the given
 * ones; redirects are never followed, so the load stays where it is meant to be.
 */
async function checkAnswers(target: Target, options: LaneOptions): Promise<boolean> {
  const given = numberTemplates(options.templates, 'as given', 0);
  const marked = numberTemplates(options.templates, 'unique', 0);
  let takesUnique = true;
  const ask = (template: RequestTemplate): Promise<Outcome> =>
    askOnce(target.url, protocolOf(target, options), template, ANSWER_TIMEOUT_MS);
  for (const [at, template] of given.slice(0, CHECKED_LIMIT).entries()) {
    const answer = await ask(template);
    if (answer.type === 'failure' || (!isSuccess(answer) && !options.anyStatus)) {
      throw badAnswer(template, answer, await target.settled());
    }
    if (hasNumber(options.templates)) continue;
    const again = await ask(marked[at] ?? template);
    if (statusOf(again) !== statusOf(answer)) takesUnique = false;
  }
  return takesUnique;
}

const CHECKED_LIMIT = 20;
const ANSWER_TIMEOUT_MS = 15_000;

/** Longer than any route should take; short enough to notice an app that stopped. */
const REQUEST_TIMEOUT_MS = 5000;

const statusOf = (outcome: Outcome): number =>
  outcome.type === 'answer' ? outcome.answer.status : 0;

const isSuccess = (outcome: Outcome): boolean =>
  statusOf(outcome) >= 200 && statusOf(outcome) < 300;

function badAnswer(
  template: RequestTemplate,
  outcome: Outcome,
  death: Death | null,
): CofferdamError {
  const name = `${template.method ?? 'GET'} ${template.path}`;
  const location = outcome.type === 'answer' ? outcome.answer.headers['location'] : undefined;
  if (death !== null) {
    const message = `the app died on ${name} (${explainDeath(death)})`;
    throw new CofferdamError('COF_APP_ANSWERS_BADLY', message, {
      hint: 'Mend that first: a process that ends at its first request has no time to leak.',
    });
  }
  const what =
    outcome.type === 'failure'
      ? `does not answer ${outcome.note}`
      : typeof location === 'string'
        ? `redirects ${name} to ${location}, and the load follows nobody`
        : `answers ${name} with ${outcome.answer.status}`;
  return new CofferdamError('COF_APP_ANSWERS_BADLY', `the app ${what}`);
}

/**
 * One app under test and the steps of an experiment on it: warm up, load and sample, rest. An A/B
 * run has several lanes and takes their steps in turn.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CofferdamError } from '../errors.ts';
import { isSteep } from './brake.ts';
import { checkAnswers } from './first-answers.ts';
import { askOnce, startLoad } from './load.ts';
import type { FailureClass } from './load-request.ts';
import type { LoadResult, Protocol, RequestTemplate } from './load.ts';
import { numberTemplates } from './requests.ts';
import { median } from './series.ts';
import type { Phase, Sample, SlowPhase } from './series.ts';
import type { Target } from './target.ts';

export interface LaneOptions {
  readonly templates: readonly RequestTemplate[];
  /** Requests per second; null = found while warming up. */
  readonly ratePerSecond: number | null;
  readonly connections: number;
  /** Requests per checkpoint; null = what `batchSeconds` hold. */
  readonly batch: number | null;
  /** Default {@link BATCH_SECONDS}. */
  readonly batchSeconds?: number;
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
  /** Also `drive` sends its requests so from now on; null = many at once, as usual. */
  setSlow(slow: SlowPhase | null): Promise<void>;
  readonly answered: () => number;
  readonly failures: () => Readonly<Partial<Record<FailureClass, number>>>;
  /** Median and 99th percentile of the last batch, from the intended start. */
  readonly latency: () => { readonly p50Ms: number; readonly p99Ms: number };
  /** One batch and one sample of the warm-up; true when the curve has settled. */
  warmUp(limitMs: number): Promise<boolean>;
  /** One batch, or what of it was due within the limit, and one sample. */
  step(phase: Phase, limitMs: number): Promise<Sample>;
  /** So many requests, no sample. */
  drive(count: number): Promise<void>;
  /** A sample after some idle time. */
  rest(ms: number, phase: 'rest before' | 'rest' | 'rest again'): Promise<Sample>;
}

/** @throws CofferdamError COF_APP_ANSWERS_BADLY when the first answers are no good. */
export async function openLane(target: Target, options: LaneOptions): Promise<Lane> {
  const protocol = protocolOf(target, options);
  const unique = await checkAnswers(target, protocol, options);
  const samples: Sample[] = [];
  const state: State = {
    rate: options.ratePerSecond ?? FIRST_RATE,
    answered: 0,
    failures: {},
    latency: { p50Ms: 0, p99Ms: 0 },
    startedAt: performance.now(),
    warmBatches: 0,
    mostCount: FIRST_BATCH,
    slow: null,
    slowRate: 0,
  };
  const run = (count: number, limitMs = Infinity, identical = false): Promise<boolean> => {
    const mode = identical ? 'identical' : unique ? 'unique' : 'as given';
    return runBatch(target, options, state, { protocol, count, limitMs, mode });
  };
  const take = async (phase: Phase): Promise<Sample> => {
    const atMs = performance.now() - state.startedAt;
    const sample = await target.sample({ requests: state.answered, atMs, phase });
    const before = samples.at(-1);
    const isRested = before === undefined || before.requests === sample.requests;
    if (!isRested && !isSteep(before, sample)) state.mostCount *= 2;
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
    ratePerSecond: () => rateOf(state),
    setRate(ratePerSecond) {
      state.rate = ratePerSecond;
    },
    async setSlow(slow) {
      if (slow !== null) state.slowRate = await findSlowRate(target, protocol, options);
      state.slow = slow;
    },
    answered: () => state.answered,
    failures: () => state.failures,
    latency: () => state.latency,
    async warmUp(limitMs) {
      const easy = await run(batchOf(options, state), limitMs);
      if (options.ratePerSecond === null) adaptRate(state, easy);
      state.warmBatches += 1;
      await take('warm-up');
      return state.warmBatches >= WARM_BATCHES && hasSettled(samples);
    },
    async step(phase, limitMs) {
      await run(batchOf(options, state), limitMs, phase === 'identical');
      return take(phase);
    },
    async drive(count) {
      await run(count);
    },
    async rest(ms, phase) {
      await sleep(ms);
      return take(phase);
    },
  };
}

// --- internal ---

const PROBE_WARM_UP = 5;
const FIRST_RATE = 100;
const FIRST_BATCH = 10;
const WARM_BATCHES = 9;

/** A desktop-class app answers it with ease; more would measure our own generator. */
const RATE_MAX = 1000;
const RATE_MIN = 5;

/** The time a batch should take: long beside the collection, short beside the minute. */
const BATCH_SECONDS = 0.4;
const BATCH_MIN = 20;

/** Between two slow requests the app is idle for a fifth of the time that it worked, and this. */
const SLOW_GAP = 1.2;
const SLOW_GAP_MS = 5;
const SLOW_TRIES = 5;

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
  /** Of the next batch: doubles, unless the last one left so much that it must not. */
  mostCount: number;
  slow: SlowPhase | null;
  slowRate: number;
}

interface Batch {
  readonly protocol: Protocol;
  readonly count: number;
  readonly limitMs: number;
  readonly mode: 'unique' | 'identical' | 'as given';
}

/** Requests per second of the next batch. */
function rateOf({ rate, slow, slowRate }: State): number {
  return slow === null ? rate : Math.min(rate, slowRate);
}

/** At which no request overlaps another, by what a few of them take when nothing else runs. */
async function findSlowRate(
  target: Target,
  protocol: Protocol,
  { templates }: LaneOptions,
): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < SLOW_TRIES; i++) {
    const template = templates[i % templates.length] ?? { path: '/' };
    const [asked = template] = numberTemplates([template], 'as given', i);
    const startedAt = performance.now();
    await askOnce(target.url, protocol, asked, REQUEST_TIMEOUT_MS);
    times.push(performance.now() - startedAt);
  }
  return 1000 / (SLOW_GAP * median(times) + SLOW_GAP_MS);
}

function protocolOf(target: Target, { http1 }: LaneOptions): Protocol {
  return http1 === true && target.url.startsWith('https:') ? 'http1' : target.protocol;
}

function batchOf(options: LaneOptions, state: State): number {
  // A slow batch ends by its time.
  if (state.slow !== null) return Infinity;
  const seconds = options.batchSeconds ?? BATCH_SECONDS;
  const usual = Math.min(RATE_MAX * seconds, Math.max(BATCH_MIN, state.rate * seconds));
  return Math.min(state.mostCount, options.batch ?? Math.round(usual));
}

/** True when the app answered in time and nothing piled up. */
async function runBatch(
  target: Target,
  options: LaneOptions,
  state: State,
  { protocol, count, limitMs, mode }: Batch,
): Promise<boolean> {
  const { slow } = state;
  const load = startLoad({
    url: target.url,
    protocol,
    ratePerSecond: rateOf(state),
    requests: numberTemplates(options.templates, mode, state.answered),
    totalRequests: count,
    ...(limitMs === Infinity ? {} : { durationMs: Math.max(1, limitMs) }),
    maxOutstanding: slow === null ? options.connections : 1,
    keepAlive: slow !== 'new connections',
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
  // What is told is the latency under load.
  if (slow === null) state.latency = { p50Ms: result.latency.p50Ms, p99Ms: result.latency.p99Ms };
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
  if (result.failures.non_2xx > (result.ok + result.failed) / 2 && !options.anyStatus) {
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

/** Longer than any route should take; short enough to notice an app that stopped. */
const REQUEST_TIMEOUT_MS = 5000;

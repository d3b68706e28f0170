/**
 * Open-loop HTTP load: requests start by the clock, not when the previous one was answered, and
 * latency counts from the moment a request was due. So a server that stalls cannot hide it by
 * slowing its clients down (coordinated omission).
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { CofferdamError } from '../errors.ts';
import { openHttp2Wire } from './load-http2.ts';
import {
  FAILURE_CLASSES,
  openWire,
  type Answer,
  type FailureClass,
  type Outcome,
  type WireRequest,
} from './load-request.ts';

/** One kind of request; `{id}` in path, body and header values becomes its number. */
export interface RequestTemplate {
  readonly method?: string;
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** How often it is picked compared with the others; 1 when left out. */
  readonly weight?: number;
  /** Whether a 2xx answer is the right one; when left out every body will do. */
  readonly verify?: (answer: Answer, id: string) => boolean;
}

export type Protocol = 'http1' | 'http2';

export interface LoadOptions {
  /** Origin, `http://127.0.0.1:3000`; the certificate of an `https` one is not checked. */
  readonly url: string;
  /** `http2` by TLS, or in clear with prior knowledge; default `http1`. */
  readonly protocol?: Protocol;
  readonly ratePerSecond: number;
  readonly requests: readonly RequestTemplate[];
  /** Whichever of the two comes first ends the load; without both it runs until `stop()`. */
  readonly totalRequests?: number;
  readonly durationMs?: number;
  /** Reuse connections (default), or make one per request. */
  readonly keepAlive?: boolean;
  /** Requests on their way at once; default and upper bound {@link OUTSTANDING_LIMIT}. */
  readonly maxOutstanding?: number;
  /** For the whole of one request; default {@link TIMEOUT_MS}. */
  readonly timeoutMs?: number;
  /** Allow a host that is not this machine: a typo must not become an attack on somebody. */
  readonly allowRemote?: boolean;
}

/** Milliseconds from the moment a request was due to the end of its answer; failures count too. */
export interface Latency {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

export interface LoadSnapshot {
  readonly elapsedMs: number;
  readonly ok: number;
  readonly failed: number;
  readonly failures: Readonly<Record<FailureClass, number>>;
  /** Sent, and neither answered nor failed yet. */
  readonly outstanding: number;
  /** Due, but held back by `maxOutstanding`; sent later, with a latency that tells of it. */
  readonly backlog: number;
  readonly latency: Latency;
}

export interface LoadResult extends LoadSnapshot {
  /** The first failures in words. */
  readonly notes: readonly string[];
}

export interface Load {
  snapshot(): LoadSnapshot;
  /** Sends nothing more, waits for what is on its way (one timeout at most), and closes. */
  stop(): Promise<LoadResult>;
  /** The end, by itself or by `stop()`. A `backlog` that is left then was never sent. */
  readonly finished: Promise<LoadResult>;
}

/** Many systems allow 1024 file descriptors, and the rest of the process needs some too. */
export const OUTSTANDING_LIMIT = 900;
export const TIMEOUT_MS = 10_000;
/** One process cannot keep to a denser schedule. */
export const RATE_LIMIT_PER_SECOND = 20_000;
/** Enough to see a pattern. */
const NOTES_LIMIT = 20;

/**
 * Starts at once.
 * @throws CofferdamError COF_BAD_VALUE for a host elsewhere, or a number out of limits
 */
export function startLoad(options: LoadOptions): Load {
  const { url, timeoutMs, maxOutstanding } = checkOptions(options);
  const open = options.protocol === 'http2' ? openHttp2Wire : openWire;
  const wire = open({ url, keepAlive: options.keepAlive ?? true, timeoutMs });
  const pick = templatePicker(options.requests);
  const book = openBook();
  const intervalMs = 1000 / options.ratePerSecond;
  const durationMs = options.durationMs ?? Infinity;
  let limit = Math.min(options.totalRequests ?? Infinity, Math.ceil(durationMs / intervalMs));
  const startedAt = performance.now();
  let sent = 0;
  let outstanding = 0;
  let closing = false;
  let timer: NodeJS.Timeout | undefined;
  let finish: (result: LoadResult) => void = () => {};
  const finished = new Promise<LoadResult>((resolve) => (finish = resolve));

  /** How many requests should have been sent by now. */
  const dueBy = (now: number): number =>
    Math.min(limit, Math.floor((now - startedAt) / intervalMs) + 1);

  const snapshot = (): LoadSnapshot => {
    const now = performance.now();
    const backlog = Math.max(0, dueBy(now) - sent);
    return { elapsedMs: now - startedAt, outstanding, backlog, ...book.read() };
  };

  const sendNext = async (): Promise<void> => {
    const dueAt = startedAt + sent * intervalMs;
    sent += 1;
    outstanding += 1;
    const template = pick();
    const id = String(sent);
    const outcome = await wire.send(fillTemplate(template, id));
    outstanding -= 1;
    book.enter(template, id, outcome, performance.now() - dueAt);
    advance();
  };

  /** Sends what is due, and comes back when the next one is, or when one was answered. */
  const advance = (): void => {
    clearTimeout(timer);
    const now = performance.now();
    // What is late at the end is still sent, but not for longer than one request may take.
    const over = closing || now > startedAt + durationMs + timeoutMs;
    const room = over ? 0 : Math.min(dueBy(now) - sent, maxOutstanding - outstanding);
    for (let count = 0; count < room; count += 1) void sendNext();
    if (!over && sent < limit) {
      timer = setTimeout(advance, Math.max(1, startedAt + sent * intervalMs - now));
    } else if (outstanding === 0) {
      wire.close();
      finish({ ...snapshot(), notes: book.notes });
    }
  };
  advance();

  return {
    snapshot,
    finished,
    stop() {
      advance();
      limit = dueBy(performance.now());
      closing = true;
      advance();
      return finished;
    },
  };
}

/** One request by itself, on a connection of its own; any status is an answer. */
export async function askOnce(
  origin: string,
  protocol: Protocol,
  template: RequestTemplate,
  timeoutMs: number,
): Promise<Outcome> {
  const open = protocol === 'http2' ? openHttp2Wire : openWire;
  const wire = open({ url: new URL(origin), keepAlive: true, timeoutMs });
  const outcome = await wire.send(fillTemplate(template, '1'));
  wire.close();
  return outcome;
}

// --- internal ---

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

function checkOptions(options: LoadOptions): {
  url: URL;
  timeoutMs: number;
  maxOutstanding: number;
} {
  const url = new URL(options.url);
  if (!/^https?:$/.test(url.protocol)) refuse(`The load speaks http, not ${url.protocol}`);
  if (!LOOPBACK.test(url.hostname) && options.allowRemote !== true) {
    refuse(`${url.hostname} is not this machine, so it gets no load.`);
  }
  const { ratePerSecond: rate } = options;
  if (!(rate > 0 && rate <= RATE_LIMIT_PER_SECOND)) {
    refuse(`A rate of ${rate} per second is not in 0…${RATE_LIMIT_PER_SECOND}.`);
  }
  const maxOutstanding = options.maxOutstanding ?? OUTSTANDING_LIMIT;
  if (!(maxOutstanding >= 1 && maxOutstanding <= OUTSTANDING_LIMIT)) {
    refuse(`${maxOutstanding} requests at once is not in 1…${OUTSTANDING_LIMIT}.`);
  }
  const weights = options.requests.map((template) => template.weight ?? 1);
  if (weights.length === 0 || !weights.every((weight) => weight > 0)) {
    refuse('A load needs at least one request, and weights above 0.');
  }
  return { url, timeoutMs: options.timeoutMs ?? TIMEOUT_MS, maxOutstanding };
}

function refuse(message: string): never {
  throw new CofferdamError('COF_BAD_VALUE', message);
}

/** Picks by weight, evenly mixed and the same in every run (smooth weighted round robin). */
function templatePicker(templates: readonly RequestTemplate[]): () => RequestTemplate {
  const entries = templates.map((template) => ({
    template,
    weight: template.weight ?? 1,
    credit: 0,
  }));
  const total = entries.reduce((sum, entry) => sum + entry.weight, 0);
  return () => {
    for (const entry of entries) entry.credit += entry.weight;
    const best = entries.reduce((a, b) => (b.credit > a.credit ? b : a));
    best.credit -= total;
    return best.template;
  };
}

function fillTemplate(template: RequestTemplate, id: string): WireRequest {
  const fill = (text: string): string => text.replaceAll('{id}', id);
  const headers = Object.entries(template.headers ?? {});
  return {
    method: template.method ?? 'GET',
    path: fill(template.path),
    headers: Object.fromEntries(headers.map(([name, value]) => [name, fill(value)])),
    body: template.body === undefined ? null : fill(template.body),
    keepBody: template.verify !== undefined,
  };
}

interface Book {
  readonly notes: string[];
  enter(template: RequestTemplate, id: string, outcome: Outcome, latencyMs: number): void;
  read(): Pick<LoadSnapshot, 'ok' | 'failed' | 'failures' | 'latency'>;
}

function openBook(): Book {
  const histogram = createHistogram();
  const notes: string[] = [];
  const failures = Object.fromEntries(FAILURE_CLASSES.map((name) => [name, 0])) as Record<
    FailureClass,
    number
  >;
  let ok = 0;
  let failed = 0;
  return {
    notes,
    enter(template, id, outcome, latencyMs) {
      histogram.record(Math.max(1, Math.round(latencyMs * 1000)));
      const judged = outcome.type === 'answer' ? judge(template, id, outcome.answer) : outcome;
      if (judged === null) {
        ok += 1;
        return;
      }
      failed += 1;
      failures[judged.failure] += 1;
      if (notes.length < NOTES_LIMIT) notes.push(`${judged.failure}: ${judged.note}`);
    },
    read: () => ({ ok, failed, failures: { ...failures }, latency: latencyOf(histogram) }),
  };
}

function judge(
  template: RequestTemplate,
  id: string,
  answer: Answer,
): { failure: FailureClass; note: string } | null {
  const name = `${template.method ?? 'GET'} ${template.path}`;
  if (answer.status < 200 || answer.status > 299) {
    return { failure: 'non_2xx', note: `${name}: ${answer.status}` };
  }
  if (template.verify === undefined || template.verify(answer, id)) return null;
  return { failure: 'wrong_body', note: `${name}: not the answer to request ${id}` };
}

/** The histogram holds microseconds. */
function latencyOf(histogram: RecordableHistogram): Latency {
  const at = (percentile: number): number =>
    histogram.count === 0 ? 0 : histogram.percentile(percentile) / 1000;
  return { p50Ms: at(50), p90Ms: at(90), p99Ms: at(99), p999Ms: at(99.9), maxMs: at(100) };
}

/**
 * The books of one pool: counters that survive the workers who made them. Each worker counts from
 * its birth; the ledger adds the difference to its last word, so that a dead worker stays counted.
 */
import { RECYCLE_REASONS, type RecycleReason, type Told, type WorkerId } from '../control/types.ts';
import {
  ANSWER_CLASSES,
  DURATION_BOUNDS_MS,
  type DrainResult,
  type WorkerMeasures,
  type WorkerReport,
} from '../protocol.ts';
import { createSlope, type Slope } from './slope.ts';

/** Why a request got no complete answer from us: the numbers that must stay 0. */
export const DROP_REASONS = ['crash', 'deadline', 'handover', 'killed'] as const;

export type DropReason = (typeof DROP_REASONS)[number];

/** Counters of one pool since the supervisor started. */
export interface Counters {
  /** In the order of ANSWER_CLASSES. */
  readonly answers: readonly number[];
  /** One per bound of DURATION_BOUNDS_MS, and one for the rest. */
  readonly durations: readonly number[];
  readonly durationSumMs: number;
  readonly minorGcMs: number;
  readonly majorGcMs: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
  readonly cutLongLived: number;
  /** From the decision to the moment when the new worker served, by reason. */
  readonly recycleMs: Readonly<Record<RecycleReason, number>>;
  readonly recycled: Readonly<Record<RecycleReason, number>>;
}

/** What is known of a live worker beyond what control knows. */
export interface WorkerBook {
  readonly requestsPerSecond: number;
  readonly slopeBytesPerSecond: number;
  readonly externalBytes: number;
  /** The longest of the last 15 s. */
  readonly eventLoopLagMs: number;
  readonly rssBytes: number;
  readonly reportedAt: number;
}

export interface Ledger {
  report(worker: WorkerId, slot: number, said: Said, now: number): void;
  sample(worker: WorkerId, memory: { anonBytes: number; rssBytes: number }, now: number): void;
  drained(worker: WorkerId, result: DrainResult): void;
  /** A worker was born, or became ready: a sign of life like a report. */
  heard(worker: WorkerId, now: number): void;
  /** KILL is on its way: what it was doing is lost. */
  killed(worker: WorkerId): void;
  gone(worker: WorkerId): void;
  told(told: Told, now: number): void;
  counters(): Counters;
  /** Requests that the workers of a slot answered, one after the other. */
  requestsOf(slot: number): number;
  bookOf(worker: WorkerId): WorkerBook | null;
  /** When a request was answered last, or nobody was waiting for one. */
  progressAt(): number;
}

export interface Said {
  readonly report: WorkerReport;
  readonly measures: WorkerMeasures;
}

export function createLedger(): Ledger {
  const books = new Map<WorkerId, Book>();
  const perSlot = new Map<number, number>();
  const sums = emptySums();
  let progressAt = 0;

  const open = (worker: WorkerId, now: number): Book => {
    const book = books.get(worker) ?? createBook(now);
    books.set(worker, book);
    return book;
  };

  return {
    heard(worker, now) {
      open(worker, now).reportedAt = now;
    },
    report(worker, slot, said, now) {
      const book = open(worker, now);
      const answered = said.report.requests - (book.said?.report.requests ?? 0);
      addMeasures(sums, said.measures, book.said?.measures ?? null);
      perSlot.set(slot, (perSlot.get(slot) ?? 0) + answered);
      if (answered > 0 || said.report.inFlight === 0) progressAt = now;
      book.requestsPerSecond = smoothRate(book, answered, now);
      const lagMs = said.measures.eventLoopLagMs;
      if (lagMs >= book.lag.ms || now - book.lag.at > LAG_WINDOW_MS)
        book.lag = { ms: lagMs, at: now };
      book.said = said;
      book.reportedAt = now;
    },
    sample(worker, { anonBytes, rssBytes }, now) {
      const book = books.get(worker);
      if (book === undefined) return;
      book.rssBytes = rssBytes;
      book.slope.add(now, anonBytes);
    },
    drained(worker, result) {
      const book = books.get(worker);
      if (book !== undefined) book.drained = true;
      sums.dropped.deadline += result.cutRequests;
      sums.cutLongLived += result.cutLongLived;
    },
    killed(worker) {
      const book = books.get(worker);
      if (book === undefined || book.drained || book.said === null) return;
      book.drained = true;
      const { inFlight, longLived } = book.said.report;
      sums.dropped.killed += Math.max(0, inFlight - longLived);
    },
    gone: (worker) => void books.delete(worker),
    told(told, now) {
      if (told.event === 'recycled') {
        sums.recycled[told.reason] += 1;
        sums.recycleMs[told.reason] += told.replacedInMs;
      }
      if (told.event === 'worker_crashed') sums.dropped.crash += told.inFlight;
      // While the supervisor did not run, nobody could report.
      if (told.event === 'suspended') {
        progressAt = now;
        for (const book of books.values()) book.reportedAt = now;
      }
    },
    counters: () => sums,
    requestsOf: (slot) => perSlot.get(slot) ?? 0,
    bookOf(worker) {
      const book = books.get(worker);
      return book === undefined ? null : viewOf(book);
    },
    progressAt: () => progressAt,
  };
}

// --- internal ---

/** A scraper comes each 15 s: what happened since its last visit must still be there. */
const LAG_WINDOW_MS = 15_000;

/** Weight of the newest second in a worker's request rate. */
const RATE_WEIGHT = 0.2;

interface Book {
  readonly slope: Slope;
  said: Said | null;
  lag: { readonly ms: number; readonly at: number };
  reportedAt: number;
  requestsPerSecond: number;
  rssBytes: number;
  drained: boolean;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

interface Sums extends Writable<
  Omit<Counters, 'answers' | 'durations' | 'dropped' | 'recycleMs' | 'recycled'>
> {
  readonly answers: number[];
  readonly durations: number[];
  readonly dropped: Record<DropReason, number>;
  readonly recycleMs: Record<RecycleReason, number>;
  readonly recycled: Record<RecycleReason, number>;
}

function createBook(now: number): Book {
  return {
    slope: createSlope(),
    said: null,
    lag: { ms: 0, at: now },
    reportedAt: now,
    requestsPerSecond: 0,
    rssBytes: 0,
    drained: false,
  };
}

function emptySums(): Sums {
  const zeros = <Key extends string>(keys: readonly Key[]): Record<Key, number> =>
    Object.fromEntries(keys.map((key) => [key, 0])) as Record<Key, number>;
  return {
    answers: ANSWER_CLASSES.map(() => 0),
    durations: [...DURATION_BOUNDS_MS, Infinity].map(() => 0),
    durationSumMs: 0,
    minorGcMs: 0,
    majorGcMs: 0,
    dropped: zeros(DROP_REASONS),
    cutLongLived: 0,
    recycleMs: zeros(RECYCLE_REASONS),
    recycled: zeros(RECYCLE_REASONS),
  };
}

function addMeasures(sums: Sums, now: WorkerMeasures, before: WorkerMeasures | null): void {
  for (const key of ['answers', 'durations'] as const) {
    const into = sums[key];
    for (let i = 0; i < into.length; i += 1) {
      into[i] = (into[i] ?? 0) + (now[key][i] ?? 0) - (before?.[key][i] ?? 0);
    }
  }
  for (const key of ['durationSumMs', 'minorGcMs', 'majorGcMs'] as const) {
    sums[key] += now[key] - (before?.[key] ?? 0);
  }
}

function smoothRate(book: Book, answered: number, now: number): number {
  const seconds = (now - book.reportedAt) / 1000;
  // Two reports at once (a limit was reached, a drain ended) say nothing about the rate.
  if (seconds < 0.1) return book.requestsPerSecond;
  const rate = answered / seconds;
  return book.said === null
    ? rate
    : book.requestsPerSecond + RATE_WEIGHT * (rate - book.requestsPerSecond);
}

function viewOf(book: Book): WorkerBook {
  const { requestsPerSecond, reportedAt, rssBytes } = book;
  return {
    requestsPerSecond,
    reportedAt,
    rssBytes,
    slopeBytesPerSecond: book.slope.perSecond(),
    externalBytes: book.said?.measures.externalBytes ?? 0,
    eventLoopLagMs: book.lag.ms,
  };
}

/**
 * What one checkpoint of the experiment measured, and the robust line through a series of them.
 *
 * A checkpoint is taken when no request is in flight and garbage was collected twice: what is left
 * is the *floor*, the memory that the app keeps. RSS and its kin are kept for the report; no
 * verdict is ever taken on them alone.
 */
import type { ProbeSample } from './probe-messages.ts';

/** One checkpoint. Sizes in bytes; null where this platform or Node version has no such number. */
export interface Sample extends ProbeSample {
  /** Requests answered since the first checkpoint of the run. */
  readonly requests: number;
  /** Milliseconds since the first checkpoint. */
  readonly atMs: number;
  readonly phase: Phase;
  readonly descriptors: number | null;
  readonly descriptorLimit: number | null;
  readonly anonBytes: number | null;
  readonly pssBytes: number | null;
  readonly privateBytes: number | null;
  /**
   * Bytes in live malloc chunks and in anonymous mappings that are not V8's, walked from outside;
   * null without glibc or ptrace rights.
   */
  readonly nativeInUseBytes: number | null;
  /** Bytes in free malloc chunks: what fragmentation and pools keep. */
  readonly mallocFreeBytes: number | null;
}

/** The words that the curve and the table of checkpoints show. */
export type Phase =
  | 'warm-up'
  | 'rest before'
  | 'load'
  | 'rest'
  /** A second load and rest, where the first left more than it found. */
  | 'load again'
  | 'rest again'
  | 'identical'
  | SlowPhase;

/** Requests that never overlap: each finds the app idle; on one connection, or each on its own. */
export const SLOW_PHASES = ['one at a time', 'new connections'] as const;

export type SlowPhase = (typeof SLOW_PHASES)[number];

/** What can leak. Each signal is judged by itself. */
export const SIGNALS = [
  'heap',
  'external',
  'native',
  'descriptors',
  'handles',
  'contexts',
  'listeners',
] as const;

export type Signal = (typeof SIGNALS)[number];

export const SIGNAL_WORDS: Readonly<Record<Signal, string>> = {
  heap: 'JavaScript heap',
  external: 'external buffers',
  native: 'native memory',
  descriptors: 'file descriptors',
  handles: 'handles or timers',
  contexts: 'V8 contexts',
  listeners: 'event listeners',
};

/** Counted signals are per piece, the others per byte. */
export function unitOf(signal: Signal): 'bytes' | 'count' {
  return signal === 'heap' || signal === 'external' || signal === 'native' ? 'bytes' : 'count';
}

/** The value of one signal at a checkpoint; null when it could not be measured. */
export function valueOf(sample: Sample, signal: Signal): number | null {
  return READERS[signal](sample);
}

/**
 * True when native memory was walked exactly, chunk by chunk, and is not just what is left over.
 */
export function hasExactNative(samples: readonly Sample[]): boolean {
  return samples.length > 0 && samples.every((sample) => sample.nativeInUseBytes !== null);
}

/** A point: x in requests (or seconds), y in the unit of the signal. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export function pointsOf(samples: readonly Sample[], signal: Signal): Point[] {
  const points: Point[] = [];
  for (const sample of samples) {
    const y = valueOf(sample, signal);
    if (y !== null) points.push({ x: sample.requests, y });
  }
  return points;
}

/** A line: y per x, with both ends of its interval, and the value at x = 0. */
export interface Line {
  readonly slope: number;
  readonly low: number;
  readonly high: number;
  readonly intercept: number;
}

/** Two-sided normal quantiles for the intervals that we use. */
export const CONFIDENCE_99 = 2.576;
export const CONFIDENCE_95 = 1.96;

/**
 * Theil-Sen: the median of all pairwise slopes, its interval from Kendall's variance. One
 * collection that came too early, or one doubling of a hash table, moves it by nothing; least
 * squares follows both. Null with fewer than 4 points or no spread in x.
 */
export function fitLine(points: readonly Point[], quantile: number): Line | null {
  const n = points.length;
  if (n < 4) return null;
  const level = points[0]?.y ?? 0;
  if (points.every(({ y }) => y === level)) return { slope: 0, low: 0, high: 0, intercept: level };
  const slopes: number[] = [];
  for (const [i, left] of points.entries()) {
    for (let j = i + 1; j < n; j++) {
      const right = points[j];
      if (right === undefined || right.x === left.x) continue;
      slopes.push((right.y - left.y) / (right.x - left.x));
    }
  }
  if (slopes.length === 0) return null;
  slopes.sort((a, b) => a - b);
  const spread = quantile * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const lowIndex = Math.max(0, Math.floor((slopes.length - spread) / 2) - 1);
  const highIndex = Math.min(slopes.length - 1, Math.ceil((slopes.length + spread) / 2));
  const slope = medianOfSorted(slopes);
  const intercept = median(points.map((point) => point.y - slope * point.x));
  return { slope, low: slopes[lowIndex] ?? slope, high: slopes[highIndex] ?? slope, intercept };
}

export function median(values: readonly number[]): number {
  return medianOfSorted([...values].sort((a, b) => a - b));
}

/** What one line has more than another, of independent series: half-widths add by their squares. */
export function subtract(line: Line, first: Line): Line {
  const slope = line.slope - first.slope;
  const below = Math.hypot(line.slope - line.low, first.high - first.slope);
  const above = Math.hypot(line.high - line.slope, first.slope - first.low);
  return { slope, low: slope - below, high: slope + above, intercept: 0 };
}

// --- internal ---

const READERS: Readonly<Record<Signal, (sample: Sample) => number | null>> = {
  heap: (sample) => sample.heapBytes,
  external: (sample) => sample.externalBytes,
  native: nativeBytes,
  descriptors: (sample) => sample.descriptors,
  handles: (sample) => totalOf(sample.resources),
  contexts: (sample) => sample.nativeContexts,
  listeners: (sample) => sample.listeners,
};

/** Queues that Node empties by itself, or that our own probe makes: no handle of the app. */
const PASSING_RESOURCES = new Set(['Immediate', 'TickObject', 'FSReqCallback', 'FSReqPromise']);

function totalOf(resources: Readonly<Record<string, number>>): number {
  let total = 0;
  for (const [type, count] of Object.entries(resources)) {
    if (!PASSING_RESOURCES.has(type)) total += count;
  }
  return total;
}

/**
 * Exact where the malloc heap can be walked; else what is left of the anonymous memory when V8 and
 * its buffers are taken off. Not clamped at zero: only its slope is ever used, and buffers that V8
 * counts before they are touched would bend it.
 */
function nativeBytes(sample: Sample): number {
  const resident = sample.anonBytes ?? sample.rssBytes;
  const all = sample.nativeInUseBytes ?? resident - sample.heapTotalBytes;
  return all - sample.externalBytes;
}

function medianOfSorted(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/**
 * What the metrics want to know of each answer and of the process: counted here, so that a request
 * pays one clock reading at each end and two increments.
 */
import {
  type IntervalHistogram,
  monitorEventLoopDelay,
  type PerformanceEntry,
  PerformanceObserver,
} from 'node:perf_hooks';
import type { ANSWER_CLASSES, DURATION_BOUNDS_MS, WorkerMeasures } from '../../protocol.ts' with {
  'resolution-mode': 'import',
};

/** Counts an answer that was sent completely. */
export function countAnswer(status: number, durationMs: number): void {
  const statusClass = Math.min(Math.max(Math.floor(status / 100), 1), 5) - 1;
  answers[statusClass]!++;
  let bucket = 0;
  while (bucket < BOUNDS.length && durationMs > BOUNDS[bucket]!) bucket++;
  durations[bucket]!++;
  durationSumMs += durationMs;
}

/** Counts requests whose client went away before their answer was complete. */
export function countAborted(count: number): void {
  answers[ABORTED]! += count;
}

/** Starts to watch garbage collection and the event loop. */
export function watchProcess(): void {
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as GcEntry[]) {
      if (entry.detail?.kind === MINOR) minorGcMs += entry.duration;
      else majorGcMs += entry.duration;
    }
  }).observe({ entryTypes: ['gc'] });
  delays = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  delays.enable();
}

/** The numbers for a report; the lag begins anew. */
export function takeMeasures(externalBytes: number, intervalMs: number): WorkerMeasures {
  const now = performance.now();
  // What the histogram holds are the times between two of its own timers. One that is still due
  // when it is reset is lost, on Node 22 at least; but then this report is late as well.
  const delayMs = (delays?.max ?? 0) / 1e6 - LAG_RESOLUTION_MS;
  const eventLoopLagMs = Math.max(0, delayMs, now - takenAt - intervalMs);
  delays?.reset();
  takenAt = now;
  return {
    answers,
    durations,
    durationSumMs,
    minorGcMs,
    majorGcMs,
    externalBytes,
    eventLoopLagMs,
  };
}

// --- internal ---

const BOUNDS = [
  5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000,
] as const satisfies typeof DURATION_BOUNDS_MS;

const ABORTED = 5 satisfies IndexOf<typeof ANSWER_CLASSES, 'aborted'>;

/** Node's types do not know the detail. */
type GcEntry = PerformanceEntry & { readonly detail?: { readonly kind: number } };

/** `perf_hooks.constants.NODE_PERFORMANCE_GC_MINOR`. */
const MINOR = 1;

/** 20 wake-ups a second; what is shorter than that does not hurt a request. */
const LAG_RESOLUTION_MS = 50;

/** The place of a word in a tuple, as a number type. */
type IndexOf<Words extends readonly string[], Word> = {
  [I in keyof Words]: Words[I] extends Word ? ToNumber<I> : never;
}[number];
type ToNumber<I> = I extends `${infer N extends number}` ? N : never;

const answers: number[] = [0, 0, 0, 0, 0, 0];
const durations: number[] = Array.from({ length: BOUNDS.length + 1 }, () => 0);
let durationSumMs = 0;
let minorGcMs = 0;
let majorGcMs = 0;
let takenAt = performance.now();
let delays: IntervalHistogram | null = null;

/**
 * One hour of numbers in a fixed number of bytes: each second of the last five minutes, each ten
 * seconds of the hour.
 */

/** Milliseconds between two samples. */
export const FINE_MS = 1000;
/** Five minutes in which every second is worth seeing: a recycle takes one or two. */
export const FINE_POINTS = 300;
/** On a chart of 1000 px an hour in steps of 10 s is a point every 3 px. */
export const COARSE_EVERY = 10;
export const COARSE_POINTS = 360;

/** What a coarse point keeps of its ten seconds: memory must not lose its peaks. */
export type Keep = 'highest' | 'mean' | 'last';

export interface Track {
  /** Adds the number of this second; NaN = unknown. */
  push(value: number): void;
  /** As if so many unknown numbers had been pushed. */
  skip(seconds: number): void;
  /** Oldest first; coarse points end where the fine ones begin. */
  read(): number[];
}

/** 4 bytes a number (8 for times, which have more digits): 2.6 KiB, resp. 5.2 KiB, per track. */
export function createTrack(keep: Keep, digits: 'single' | 'double' = 'single'): Track {
  const numbers = digits === 'single' ? Float32Array : Float64Array;
  const fine = new numbers(FINE_POINTS).fill(NaN);
  const coarse = new numbers(COARSE_POINTS).fill(NaN);
  let pushed = 0;
  let bucket = NaN;
  let known = 0;
  return {
    push(value) {
      fine[pushed % FINE_POINTS] = value;
      pushed += 1;
      if (!Number.isNaN(value)) {
        known += 1;
        bucket = merge(keep, bucket, value, known);
      }
      if (pushed % COARSE_EVERY > 0) return;
      coarse[(pushed / COARSE_EVERY - 1) % COARSE_POINTS] = bucket;
      bucket = NaN;
      known = 0;
    },
    skip(seconds) {
      pushed += seconds;
    },
    read() {
      const fineFrom = Math.max(0, pushed - FINE_POINTS);
      // A bucket that reaches into the fine part would show its seconds twice.
      const coarseTo = Math.floor(fineFrom / COARSE_EVERY);
      const coarseFrom = Math.max(0, Math.floor(pushed / COARSE_EVERY) - COARSE_POINTS);
      return [...readRing(coarse, coarseFrom, coarseTo), ...readRing(fine, fineFrom, pushed)];
    },
  };
}

// --- internal ---

function merge(keep: Keep, bucket: number, value: number, known: number): number {
  if (Number.isNaN(bucket) || keep === 'last') return value;
  return keep === 'highest' ? Math.max(bucket, value) : bucket + (value - bucket) / known;
}

function readRing(ring: Float32Array | Float64Array, from: number, to: number): number[] {
  const values: number[] = [];
  for (let at = from; at < to; at += 1) values.push(ring[at % ring.length] ?? NaN);
  return values;
}

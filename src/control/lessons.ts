/** What the pool has learned of its app: how long it boots and drains, needs and leaks. */
import type { Slope } from './growth.ts';

export interface Lessons {
  /** The last durations, milliseconds. */
  readonly boots: readonly number[];
  readonly drains: readonly number[];
  /** Largest memory of a worker that had just become ready; null = none was sampled yet. */
  readonly floorBytes: number | null;
  /** What the last workers grew by, bytes per request. */
  readonly slopes: readonly number[];
}

export const NO_LESSONS: Lessons = { boots: [], drains: [], floorBytes: null, slopes: [] };

/** Of so few the 99th percentile is the largest; one odd boot is forgotten after as many more. */
const KEPT_MAX = 16;
/** A boot may take so much longer than the longest of the last ones: the machine may be busy. */
const BOOT_MARGIN = 2;
/** The first boots are measured at rest; under full load they take several times as long. */
const BOOT_LEAST_MS = 3000;
/** Until a drain was seen: idle connections are handed over and short requests done by then. */
const DRAIN_GUESS_MS = 1000;

export function learnBoot(lessons: Lessons, bootMs: number): Lessons {
  return { ...lessons, boots: keep(lessons.boots, bootMs) };
}

export function learnDrain(lessons: Lessons, drainMs: number): Lessons {
  return { ...lessons, drains: keep(lessons.drains, drainMs) };
}

export function learnFloor(lessons: Lessons, bytes: number): Lessons {
  return { ...lessons, floorBytes: Math.max(lessons.floorBytes ?? 0, bytes) };
}

/** Only a worker that surely leaked says something about its successors. */
export function learnSlope(lessons: Lessons, slope: Slope | null): Lessons {
  if (slope === null || slope.low <= 0) return lessons;
  return { ...lessons, slopes: keep(lessons.slopes, slope.middle) };
}

/** Time from the order to the readiness of a new worker, with a margin. */
export function bootAllowanceMs(lessons: Lessons): number {
  return Math.max(BOOT_LEAST_MS, longestBootMs(lessons));
}

/** The same for those in front at the gate, of which not all will be slow. */
export function longestBootMs({ boots }: Lessons): number {
  return BOOT_MARGIN * Math.max(0, ...boots);
}

/** Time until the old worker is gone, after its replacement became ready. */
export function drainAllowanceMs({ drains }: Lessons): number {
  return drains.length === 0 ? DRAIN_GUESS_MS : Math.max(...drains);
}

/** Median growth of the last workers, bytes per request; 0 = none of them leaked. */
export function usualSlope({ slopes }: Lessons): number {
  return [...slopes].sort((a, b) => a - b)[Math.floor(slopes.length / 2)] ?? 0;
}

// --- internal ---

function keep(values: readonly number[], value: number): number[] {
  return [...values, value].slice(-KEPT_MAX);
}

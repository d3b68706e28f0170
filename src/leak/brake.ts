/**
 * When to stop the load: past a point a leak is beyond doubt, the search for it needs the app
 * alive, and so fast a leak shall not take the machine with it. Pure but for the free memory.
 */
import { freemem } from 'node:os';
import type { Sample } from './series.ts';
import { formatAmount, formatNumber } from './words.ts';

/** Why the load has to stop now, in words; null as long as it may go on. */
export function whyBrake(samples: readonly Sample[]): string | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return null;
  const { descriptors, descriptorLimit, heapUsedBytes, heapLimitBytes } = last;
  const show = (bytes: number): string => formatAmount(bytes, 'bytes');
  if (descriptors !== null && descriptors > SHARE_MAX * (descriptorLimit ?? Infinity)) {
    const [open, limit] = [descriptors, descriptorLimit ?? 0].map((count) =>
      formatNumber(count, 0),
    );
    return `${open} of ${limit} file descriptors were open`;
  }
  if (heapUsedBytes > SHARE_MAX * heapLimitBytes) {
    return `the heap was ${show(heapUsedBytes)} of at most ${show(heapLimitBytes)}`;
  }
  const grown = last.rssBytes - first.rssBytes;
  // Half of what is free belongs to the others on this machine.
  const room = Math.min(GROWTH_MAX_BYTES, (freemem() + grown) / 2);
  return grown > room ? `the process had grown by ${show(grown)}` : null;
}

/** Whether the last batch left so much that one of twice the size could be the end of the app. */
export function isSteep(before: Sample, after: Sample): boolean {
  if (after.heapUsedBytes - before.heapUsedBytes >= STEEP_BYTES) return true;
  const opened = (after.descriptors ?? 0) - (before.descriptors ?? 0);
  return opened > STEEP_SHARE * (after.descriptorLimit ?? Infinity);
}

// --- internal ---

/** Of what the heap or the descriptors may be at most. */
const SHARE_MAX = 0.6;

/** Growth of the whole process that no warm-up explains; more would only load the machine. */
const GROWTH_MAX_BYTES = 2 ** 30;

/** A leak that kills in seconds needs checkpoints too. */
const STEEP_BYTES = 8 * 2 ** 20;
const STEEP_SHARE = 0.04;

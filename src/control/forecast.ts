/**
 * When must a replacement begin so that no worker reaches its hard memory limit? Workers are taken
 * in the order in which they would reach it; each needs its boot, and before it those in front of
 * it need the gate. Begin as soon as any of them would be late otherwise.
 */
import { carefulSlope, rateOf } from './growth.ts';
import { bootAllowanceMs, drainAllowanceMs, longestBootMs, usualSlope } from './lessons.ts';
import { memoryLimitsOf } from './recycling.ts';
import type { PoolState } from './turn.ts';
import type { WorkerId } from './types.ts';
import type { Worker } from './worker.ts';

/** What is known is a sample old, and a sample is a second old at most. */
const SAMPLING_MS = 1000;
/** Garbage comes and goes between two samples: this share of a limit is kept free for it. */
export const SWING_SHARE = 0.05;

/** Milliseconds until the worker reaches its hard limit as it grows now; Infinity = never. */
export function timeToLimitMs(pool: PoolState, worker: Worker, now: number): number {
  return Math.max(0, limitAt(pool, worker) - now);
}

/** Bytes that the worker grows by in a millisecond, at the careful end. */
export function growthPerMs(pool: PoolState, worker: Worker): number {
  return carefulSlope(worker.growth, usualSlope(pool.lessons)) * rateOf(worker.growth);
}

/** When the next predicted recycle has to begin; Infinity = none is in sight. */
export function nextStartAt(pool: PoolState): number {
  if (!pool.policy.predict) return Infinity;
  const places = concurrencyOf(pool);
  const bootMs = bootAllowanceMs(pool.lessons);
  const turnMs = longestBootMs(pool.lessons) + drainAllowanceMs(pool.lessons);
  const running = [...pool.slots.values()].filter(({ recycle }) => recycle !== null).length;
  let startAt = Infinity;
  for (const [index, worker] of inOrder(pool).entries()) {
    const turns = Math.floor((running + index) / places);
    startAt = Math.min(startAt, limitAt(pool, worker) - SAMPLING_MS - bootMs - turns * turnMs);
  }
  // Control's clock has whole milliseconds: a fraction would never come.
  return Math.floor(startAt);
}

/** The worker whose turn it is, if a predicted recycle has to begin now. */
export function predictedVictim(pool: PoolState, now: number): WorkerId | null {
  if (nextStartAt(pool) > now) return null;
  return inOrder(pool).find((worker) => isGrownUp(pool, worker, now))?.id ?? null;
}

/** Old enough to be replaced for its memory once more: a recycle must not trigger the next. */
export function isGrownUp(pool: PoolState, { readyAt }: Worker, now: number): boolean {
  return readyAt !== null && now - readyAt >= pool.policy.minAgeMs;
}

/** From the order to recycle until the old worker is gone. */
export function leadOf({ lessons }: PoolState): number {
  return SAMPLING_MS + bootAllowanceMs(lessons) + drainAllowanceMs(lessons);
}

/** A recycle needs a place in the gate and, make-before-break, one in the surge. */
export function concurrencyOf({ policy: { gate, surge } }: Pick<PoolState, 'policy'>): number {
  return surge > 0 ? Math.min(gate, surge) : gate;
}

// --- internal ---

function limitAt(pool: PoolState, worker: Worker): number {
  const { hard } = memoryLimitsOf(pool.policy, worker.floorBytes);
  const perMs = growthPerMs(pool, worker);
  if (hard === Infinity || perMs <= 0) return Infinity;
  return worker.sampledAt + (hard * (1 - SWING_SHARE) - worker.memoryBytes) / perMs;
}

/** Ready workers that nobody replaces yet and that will reach their limit, the next one first. */
function inOrder(pool: PoolState): Worker[] {
  const at = new Map<Worker, number>();
  for (const worker of pool.workers.values()) {
    const slot = pool.slots.get(worker.slot);
    if (worker.life.state !== 'ready' || worker.floorBytes === null) continue;
    if (worker.slot > pool.size || slot === undefined || slot.recycle !== null) continue;
    const limit = limitAt(pool, worker);
    if (limit < Infinity) at.set(worker, limit);
  }
  return [...at].sort(([a, x], [b, y]) => x - y || a.id - b.id).map(([worker]) => worker);
}

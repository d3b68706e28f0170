/** The arithmetic of a pool: its floors, and what a leak adds to them once it is sure. */
import { explainFloor } from './fit.ts';
import { POINTS_SURE, sureSlope } from './growth.ts';
import { usualSlope } from './lessons.ts';
import { hasteOf, recyclerLoad } from './load.ts';
import { memoryLimitsOf } from './recycling.ts';
import { tell, type PoolState, type Turn } from './turn.ts';

/** Says once per configuration what floor and leak come to, and whether that holds. */
export function watchGrowth(turn: Turn): void {
  const { pool } = turn;
  if (pool.growthTold) return;
  for (const worker of pool.workers.values()) {
    const { life, growth, floorBytes, slot } = worker;
    if (life.state !== 'ready' || floorBytes === null || growth.points.length < POINTS_SURE)
      continue;
    const { slope } = growth;
    if (slope === null || slope.low <= 0) continue;
    pool.growthTold = true;
    const slopeBytesPerRequest = Math.round(slope.middle);
    const detail = explain(pool, floorBytes, slope.middle);
    return tell(turn, { event: 'growth_measured', slot, floorBytes, slopeBytesPerRequest, detail });
  }
}

/** The same at any time, for people who ask; null while nothing is measured. */
export function arithmeticOf(pool: PoolState): string | null {
  const { floorBytes } = pool.lessons;
  if (floorBytes === null) return null;
  const slopes = [...pool.workers.values()].map(({ growth }) => sureSlope(growth, 0));
  const slope = Math.max(usualSlope(pool.lessons), ...slopes);
  if (slope > 0) return explain(pool, floorBytes, slope);
  return `${explainFloor(pool, floorBytes)}; no growth; ${loadText(pool)}`;
}

// --- internal ---

const MEBIBYTE = 1024 * 1024;
const KIBIBYTE = 1024;

function explain(pool: PoolState, floorBytes: number, slope: number): string {
  const { policy, size, overheadBytes } = pool;
  const surge = Math.min(policy.surge, 1);
  const load = loadText(pool);
  const each = `${Math.max(1, Math.round(slope / KIBIBYTE))}KiB`;
  const { hard } = memoryLimitsOf(policy, floorBytes);
  const untilHard = hard === Infinity ? Infinity : Math.floor((hard - floorBytes) / slope);
  const untilCount = policy.maxRequests > 0 ? policy.maxRequests : Infinity;
  const requests = Math.min(untilHard, untilCount);
  const floors = `floor ${mib(floorBytes)} x (${size} + ${surge} surge) + ${mib(overheadBytes)}`;
  const fixed = floorBytes * (size + surge) + overheadBytes;
  const { budgetBytes } = policy;
  if (requests === Infinity) {
    if (budgetBytes === 0) return `${each} per request, and no limit that would end it; ${load}`;
    const left = Math.max(0, Math.floor((budgetBytes - fixed) / slope));
    return `${floors} leave room for ${left} requests of ${each} in ${mib(budgetBytes)}; ${load}`;
  }
  const sum = fixed + size * requests * slope;
  const sums = `${floors} + ${each} x ${requests} requests x ${size} = ${mib(sum)}`;
  if (budgetBytes === 0) return `${sums}; ${load}`;
  const verdict = sum > budgetBytes ? ': the budget ends them sooner' : '';
  return `${sums} of ${mib(budgetBytes)}${verdict}; ${load}`;
}

/** Ends with the sentence that warns, if there is one. */
function loadText(pool: PoolState): string {
  const haste = hasteOf(pool);
  const load = `recycler load ${Math.round(recyclerLoad(pool) * 100)}%`;
  return haste === null ? load : `${load}; ${haste}`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)}MiB`;
}

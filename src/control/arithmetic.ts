/** The arithmetic of a pool that leaks: told once, as soon as the leak of a worker is sure. */
import { POINTS_SURE } from './growth.ts';
import { recyclerLoad } from './load.ts';
import { memoryLimitsOf } from './recycling.ts';
import { tell, type PoolState, type Turn } from './turn.ts';
import type { Worker } from './worker.ts';

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
    const detail = explain(pool, worker, floorBytes, slope.middle);
    return tell(turn, { event: 'growth_measured', slot, floorBytes, slopeBytesPerRequest, detail });
  }
}

// --- internal ---

const MEBIBYTE = 1024 * 1024;
const KIBIBYTE = 1024;

function explain(pool: PoolState, worker: Worker, floorBytes: number, slope: number): string {
  const { policy, size, overheadBytes } = pool;
  const surge = Math.min(policy.surge, 1);
  const load = `recycler load ${Math.round(recyclerLoad(pool) * 100)}%`;
  const each = `${Math.max(1, Math.round(slope / KIBIBYTE))}KiB`;
  const { hard } = memoryLimitsOf(policy, worker.floorBytes);
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

function mib(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)}MiB`;
}

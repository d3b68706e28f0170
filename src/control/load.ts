/**
 * Recycler load: the share of time in which the gate is taken, if every worker is replaced as often
 * as its limits and its growth demand. Near 1 replacements come too late, whatever is decided.
 */
import { growthPerMs } from './forecast.ts';
import { rateOf } from './growth.ts';
import { memoryLimitsOf } from './recycling.ts';
import { tell, type PoolState, type Turn } from './turn.ts';
import type { Worker } from './worker.ts';

/** Above this, queues at the gate grow fast: prediction keeps its promise up to here. */
export const LOAD_MAX = 0.7;
/** Told again only after the load fell below this. */
const LOAD_CALM = 0.5;

/** 0 = nothing is ever replaced; 1 = the gate is never free. */
export function recyclerLoad(pool: PoolState): number {
  const { boots, drains } = pool.lessons;
  const turnMs = meanOf(boots) + meanOf(drains);
  let load = 0;
  for (const worker of pool.workers.values()) {
    if (worker.life.state === 'ready') load += turnMs / cycleMs(pool, worker);
  }
  return load / pool.policy.gate;
}

/** Says once that the gate cannot keep up. */
export function watchLoad(turn: Turn): void {
  const { pool } = turn;
  const load = recyclerLoad(pool);
  if (pool.saturated && load < LOAD_CALM) pool.saturated = false;
  if (pool.saturated || load <= LOAD_MAX) return;
  pool.saturated = true;
  tell(turn, {
    event: 'recycler_saturated',
    loadPercent: Math.round(load * 100),
    detail: 'workers are due faster than they boot: raise their limits, the budget or --gate',
  });
}

/** What is wrong with the limits of the pool as it runs now: sentences for people. */
export function notesOn(pool: PoolState): readonly string[] {
  const notes: string[] = [];
  if (pool.floorTold) {
    notes.push('floor above limit: fresh workers exceed --max-memory, which recycles no more');
  }
  if (pool.overBudget) notes.push('over budget: the tree uses more than --memory-budget');
  if (pool.saturated) notes.push('recycler saturated: workers are due faster than they boot');
  return notes;
}

// --- internal ---

/** Milliseconds from one replacement of a worker to the next; Infinity = it is never due. */
function cycleMs(pool: PoolState, worker: Worker): number {
  const { hard } = memoryLimitsOf(pool.policy, worker.floorBytes);
  const perMs = growthPerMs(pool, worker);
  const rate = rateOf(worker.growth);
  const byMemory = perMs > 0 ? (hard - (worker.floorBytes ?? 0)) / perMs : Infinity;
  const byRequests = worker.requestLimit > 0 && rate > 0 ? worker.requestLimit / rate : Infinity;
  const byAge = worker.ageLimitMs > 0 ? worker.ageLimitMs : Infinity;
  return Math.max(1, Math.min(byMemory, byRequests, byAge));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

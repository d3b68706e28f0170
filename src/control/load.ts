/**
 * Recycler load: the share of time in which the gate is taken, if every worker is replaced as often
 * as its limits and its growth demand. Near 1 replacements come too late, whatever is decided; and
 * so they do where workers are full before they are old enough to go.
 */
import { surgeBytes } from './budget.ts';
import { rateOf, steadyRateOf, sureSlope } from './growth.ts';
import { usualSlope } from './lessons.ts';
import { memoryLimitsOf } from './recycling.ts';
import { tell, type PoolState, type Turn } from './turn.ts';
import type { Worker } from './worker.ts';

/** Above this, queues at the gate grow fast: prediction keeps its promise up to here. */
export const LOAD_MAX = 0.7;
/** Told again only after the load fell below this. */
const LOAD_CALM = 0.5;
/** The same where time is short: only after there was so many times as much as is needed. */
const HASTE_CALM = 1.3;

/** 0 = nothing is ever replaced; 1 = the gate is never free. */
export function recyclerLoad(pool: PoolState): number {
  const { boots, drains } = pool.lessons;
  const turnMs = meanOf(boots) + meanOf(drains);
  let load = 0;
  const usual = usualSlope(pool.lessons);
  const fullMs = fillMs(pool, usual);
  for (const worker of readyOf(pool)) {
    load += turnMs / Math.max(1, Math.min(fullMs, dueMs(pool, worker, usual)));
  }
  return load / pool.policy.gate;
}

/** Says once that the gate, or time itself, cannot keep up. */
export function watchLoad(turn: Turn): void {
  const { pool } = turn;
  const load = recyclerLoad(pool);
  if (pool.saturated) {
    pool.saturated = load >= LOAD_CALM || hasteOf(pool, HASTE_CALM) !== null;
    return;
  }
  const haste = hasteOf(pool);
  if (haste === null && load <= LOAD_MAX) return;
  pool.saturated = true;
  tell(turn, {
    event: 'recycler_saturated',
    loadPercent: Math.round(load * 100),
    detail:
      haste ?? 'workers are due faster than they boot: raise their limits, the budget or --gate',
  });
}

/**
 * A sentence where fresh workers fill their memory before the first of them may go and another one
 * has booted: then no order of replacements keeps the limit. Null where there is time enough.
 */
export function hasteOf(pool: PoolState, factor = 1): string | null {
  const { boots } = pool.lessons;
  const neededMs = factor * (pool.policy.minAgeMs + Math.min(...boots, boots[0] ?? 0));
  const usual = usualSlope(pool.lessons);
  let fullMs = fillMs(pool, usual);
  let perSecond = 0;
  for (const worker of readyOf(pool)) {
    fullMs = Math.min(fullMs, limitMs(pool, worker, usual));
    perSecond += 1000 * steadyRateOf(worker.growth);
  }
  if (fullMs >= neededMs) return null;
  const most = Math.floor((perSecond * fullMs) / neededMs);
  return (
    `this cannot hold: fresh workers fill their memory in ${seconds(fullMs)}, and nobody is ` +
    `replaced before ${seconds(neededMs)} (--min-age and a boot); up to ${most} requests/s may hold`
  );
}

/** What is wrong with the limits of the pool as it runs now: sentences for people. */
export function notesOn(pool: PoolState): readonly string[] {
  const notes: string[] = [];
  if (pool.floorTold) {
    notes.push('floor above limit: fresh workers exceed --max-memory, which replaces none of them');
  }
  if (pool.overBudget) notes.push('over budget: the tree uses more than --memory-budget');
  const late = 'recycler saturated: workers are due faster than they boot';
  if (pool.saturated) notes.push(hasteOf(pool) ?? late);
  return notes;
}

// --- internal ---

function readyOf({ workers }: PoolState): readonly Worker[] {
  return [...workers.values()].filter(({ life }) => life.state === 'ready');
}

/** From one replacement of a worker to the next by its own limits; Infinity = it is never due. */
function dueMs(pool: PoolState, worker: Worker, usual: number): number {
  const rate = rateOf(worker.growth);
  const byRequests = worker.requestLimit > 0 && rate > 0 ? worker.requestLimit / rate : Infinity;
  const byAge = worker.ageLimitMs > 0 ? worker.ageLimitMs : Infinity;
  return Math.min(limitMs(pool, worker, usual), byRequests, byAge);
}

/** In so long a fresh worker grows to its hard limit. */
function limitMs(pool: PoolState, worker: Worker, usual: number): number {
  const { hard } = memoryLimitsOf(pool.policy, worker.floorBytes);
  const perMs = surePerMs(worker, usual);
  return perMs > 0 ? Math.max(0, hard - (worker.floorBytes ?? 0)) / perMs : Infinity;
}

/** In so long fresh workers together grow from their floors to the budget. */
function fillMs(pool: PoolState, usual: number): number {
  const { policy, overheadBytes, size, othersPerMs } = pool;
  const perMs = readyOf(pool).reduce((sum, worker) => sum + surePerMs(worker, usual), 0);
  if (policy.budgetBytes === 0 || perMs === 0) return Infinity;
  const floors = (size + Math.min(policy.surge, 1)) * surgeBytes(pool);
  return Math.max(0, policy.budgetBytes - overheadBytes - floors) / (perMs + othersPerMs);
}

function surePerMs({ growth }: Worker, usual: number): number {
  return sureSlope(growth, usual) * steadyRateOf(growth);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)}s`;
}

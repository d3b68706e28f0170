/**
 * The memory budget of the whole tree: supervisor, all workers, and one more that lives while
 * another is replaced. Who has to go when the forecast crosses it is not the largest worker but the
 * one that gives most back and would go on growing.
 */
import { growthPerMs, isGrownUp, leadOf, SWING_SHARE } from './forecast.ts';
import { FLOOR_HEADROOM } from './recycling.ts';
import { tell, type PoolState, type Turn } from './turn.ts';
import type { PoolEvent, WorkerId } from './types.ts';
import type { Worker } from './worker.ts';

/** Told again only after the memory fell below this share: a sawtooth is one event, not many. */
const WITHIN_SHARE = 0.95;
/** A pressure that lasts brings one recycle forward in so long: the cure needs time to work. */
export const PRESSURE_COOLDOWN_MS = 30_000;
/** Slope of a worker that does not grow: it still counts by what it would give back. */
const FLAT_SLOPE = 1e-9;

/** Bytes in use: what is not in workers, and each worker, at least as much as a fresh one needs. */
export function usedBytes(pool: PoolState): number {
  let sum = pool.overheadBytes;
  for (const worker of pool.workers.values()) {
    const growing = worker.floorBytes === null ? surgeBytes(pool) : 0;
    sum += Math.max(worker.memoryBytes, growing);
  }
  return sum;
}

/** What one more worker needs: as much as the largest did when it became ready. */
export function surgeBytes(pool: PoolState): number {
  return pool.lessons.floorBytes ?? 0;
}

/** Whether one more worker may live beside the present ones. */
export function hasSurgeRoom(pool: PoolState): boolean {
  const { budgetBytes } = pool.policy;
  return budgetBytes === 0 || usedBytes(pool) + surgeBytes(pool) <= budgetBytes;
}

/** Workers that have to be replaced so that the budget holds until their replacements serve. */
export function budgetVictims(pool: PoolState, now: number): ReadonlySet<WorkerId> {
  const victims = new Set<WorkerId>();
  const { budgetBytes } = pool.policy;
  const counts = budgetBytes > 0 && pool.mayReclaim;
  let excess = counts ? forecastBytes(pool) - budgetBytes : 0;
  for (const worker of pool.workers.values()) {
    if (pool.slots.get(worker.slot)?.recycle?.old === worker.id) excess -= reclaimable(worker);
  }
  for (const worker of candidates(pool, now)) {
    if (excess <= 0 && !isFull(pool, worker)) continue;
    victims.add(worker.id);
    excess -= reclaimable(worker);
  }
  return victims;
}

export function noteOverhead(turn: Turn, event: Extract<PoolEvent, { type: 'overhead' }>): void {
  const { pool } = turn;
  pool.overheadBytes = Math.max(0, event.bytes);
  pool.othersPerMs = Math.max(0, event.growthPerMs ?? 0);
  pool.mayReclaim = event.mayReclaim ?? true;
}

/** What the best candidate of the pool is worth: bytes given back × growth; 0 = it has none. */
export function worthOf(pool: PoolState, now: number): number {
  const best = candidates(pool, now)[0];
  return best === undefined ? 0 : scoreOf(pool, best);
}

/** Bytes that all ready workers together grow by in a millisecond. */
export function poolGrowthPerMs(pool: PoolState): number {
  let sum = 0;
  for (const worker of pool.workers.values()) sum += growthPerMs(pool, worker);
  return sum;
}

/** Until the tree reaches its budget as all pools grow now; Infinity = never. */
export function timeToBudgetMs(pool: PoolState): number {
  const { budgetBytes } = pool.policy;
  const perMs = poolGrowthPerMs(pool) + pool.othersPerMs;
  if (budgetBytes === 0 || perMs <= 0) return Infinity;
  return Math.max(0, budgetBytes - usedBytes(pool)) / perMs;
}

/** Says once that the budget is exceeded, and once that it is kept again. */
export function watchBudget(turn: Turn): void {
  const { pool, now } = turn;
  const { budgetBytes } = pool.policy;
  const used = budgetBytes === 0 ? 0 : usedBytes(pool);
  const { overBudget } = pool;
  if (!overBudget && used > budgetBytes && pool.mayReclaim) {
    pool.overBudget = true;
    const helps = candidates(pool, now).length > 0 || recyclesRun(pool);
    tell(turn, { event: 'over_budget', usedBytes: used, budgetBytes, detail: adviceOn(helps) });
  }
  if (overBudget && used <= budgetBytes * WITHIN_SHARE) {
    pool.overBudget = false;
    tell(turn, { event: 'within_budget', usedBytes: used, budgetBytes });
  }
}

/** The kernel is short of memory: what would be replaced next for its memory is replaced now. */
export function relievePressure(turn: Turn): void {
  const { pool, now } = turn;
  if (!pool.mayReclaim || now - pool.pressedAt < PRESSURE_COOLDOWN_MS || recyclesRun(pool)) return;
  const victim = candidates(pool, now)[0];
  if (victim === undefined) return;
  pool.pressedAt = now;
  pool.workers.set(victim.id, { ...victim, pressed: true });
}

// --- internal ---

/** Its heap would be full before a replacement could serve: it would die of it. */
function isFull(pool: PoolState, worker: Worker): boolean {
  const { roomBytes, predict } = pool.policy;
  const growth = predict ? growthPerMs(pool, worker) * leadOf(pool) : 0;
  return roomBytes > 0 && worker.memoryBytes + growth >= roomBytes;
}

/** What will be in use when a replacement that begins now has served its purpose. */
function forecastBytes(pool: PoolState): number {
  const { policy } = pool;
  const growth = policy.predict ? (poolGrowthPerMs(pool) + pool.othersPerMs) * leadOf(pool) : 0;
  const reserve = policy.surge > 0 && !recyclesRun(pool) ? surgeBytes(pool) : 0;
  return usedBytes(pool) + reserve + growth + policy.budgetBytes * SWING_SHARE;
}

function recyclesRun(pool: PoolState): boolean {
  return [...pool.slots.values()].some(({ recycle }) => recycle !== null);
}

function reclaimable({ memoryBytes, floorBytes }: Worker): number {
  return floorBytes === null ? 0 : Math.max(0, memoryBytes - floorBytes);
}

/** Those whose replacement would pay, the one that pays most first. */
function candidates(pool: PoolState, now: number): Worker[] {
  const pays = (worker: Worker): boolean =>
    worker.life.state === 'ready' &&
    worker.slot <= pool.size &&
    pool.slots.get(worker.slot)?.recycle === null &&
    isGrownUp(pool, worker, now) &&
    worker.floorBytes !== null &&
    worker.memoryBytes >= worker.floorBytes * FLOOR_HEADROOM;
  const scores = new Map([...pool.workers.values()].filter(pays).map((w) => [w, scoreOf(pool, w)]));
  return [...scores].sort(([a, x], [b, y]) => y - x || a.id - b.id).map(([worker]) => worker);
}

function scoreOf(pool: PoolState, worker: Worker): number {
  return reclaimable(worker) * Math.max(FLAT_SLOPE, growthPerMs(pool, worker));
}

function adviceOn(helps: boolean): string {
  return helps
    ? 'workers are being replaced to get below it'
    : 'no replacement would help: fewer --workers or a larger --memory-budget would';
}

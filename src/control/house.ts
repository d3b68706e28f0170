/**
 * One memory budget over several pools. For each pool the others are overhead, so that all of them
 * see the same sum; only one at a time may make room, the one whose best candidate gives most back,
 * or two pools would both recycle for one excess.
 */
import { poolGrowthPerMs, usedBytes, worthOf } from './budget.ts';
import type { PoolState } from './turn.ts';
import type { PoolEvent } from './types.ts';

/** What a pool is to be told of the house, in the event `overhead`. */
export interface Share {
  /** In use beside its own workers. */
  readonly overheadBytes: number;
  /** What the workers of the others grow by. */
  readonly growthPerMs: number;
  /** True for exactly one pool. */
  readonly mayReclaim: boolean;
}

/**
 * The share of each pool, in their order. `overheadBytes` is in use beside all workers (supervisor,
 * shared file pages). To be asked anew before every turn of a pool: two of them must not both fill
 * the room of one surge worker.
 */
export function settle(
  pools: readonly PoolState[],
  overheadBytes: number,
  now: number,
): readonly Share[] {
  // One that is alone has nobody to wait for.
  if (pools.length === 1) return [{ overheadBytes, growthPerMs: 0, mayReclaim: true }];
  const used = pools.map((pool) => usedBytes(pool) - pool.overheadBytes);
  const growth = pools.map(poolGrowthPerMs);
  const allUsed = sum(used);
  const allGrowth = sum(growth);
  const chosen = chooseOne(pools, now);
  return pools.map((_, at) => ({
    overheadBytes: overheadBytes + allUsed - (used[at] ?? 0),
    growthPerMs: Math.max(0, allGrowth - (growth[at] ?? 0)),
    mayReclaim: at === chosen,
  }));
}

/** The event by which a pool hears of its share; null = it knows. */
export function shareNews(pool: PoolState, share: Share): PoolEvent | null {
  const { overheadBytes: bytes, growthPerMs, mayReclaim } = share;
  const knows =
    bytes === pool.overheadBytes &&
    growthPerMs === pool.othersPerMs &&
    mayReclaim === pool.mayReclaim;
  return knows ? null : { type: 'overhead', bytes, growthPerMs, mayReclaim };
}

// --- internal ---

/** Whoever makes room already goes on; else who has most to give, else the first, to tell of it. */
function chooseOne(pools: readonly PoolState[], now: number): number {
  const busy = pools.findIndex(reclaims);
  if (busy >= 0) return busy;
  const worth = pools.map((pool) => worthOf(pool, now));
  return Math.max(0, worth.indexOf(Math.max(...worth)));
}

function reclaims({ slots }: PoolState): boolean {
  return [...slots.values()].some(({ recycle }) => recycle?.due.reason === 'budget');
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Slots of several pools: numbered in one row inside the page, and named by their pool. */
import type { PageStatus } from '../wire.ts';

/** Those of the second pool are 1001 and up: more than any pool has. */
const SLOTS_PER_POOL = 1000;

type Pools = Pick<PageStatus, 'pools'> | null;

/** `pool`: its index. */
export function pageSlot(slot: number, pool: number): number {
  return slot + Math.max(0, pool) * SLOTS_PER_POOL;
}

/** `Slot 2`, or `api/2` where there are several pools. */
export function slotName(slot: number, status: Pools): string {
  const pool = poolOf(slot, status);
  return pool === undefined ? `Slot ${slot}` : `${pool.name}/${slot % SLOTS_PER_POOL}`;
}

/** Within its pool: colors tell the pools apart where there is no room for more. */
export function slotTag(slot: number): string {
  return String(slot % SLOTS_PER_POOL);
}

/** From 0, different for the first slots of neighbouring pools: what its color is chosen by. */
export function slotIndex(slot: number): number {
  const pool = Math.floor(slot / SLOTS_PER_POOL);
  return (slot % SLOTS_PER_POOL) - 1 + pool * SHIFT;
}

// --- internal ---

/** Four slots a pool are usual; the fifth may look like the first of the next. */
const SHIFT = 4;

function poolOf(slot: number, status: Pools): PageStatus['pools'][number] | undefined {
  const pools = status?.pools ?? [];
  return pools.length > 1 ? pools[Math.floor(slot / SLOTS_PER_POOL)] : undefined;
}

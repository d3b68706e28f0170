/**
 * An idle worker gives nothing back by itself: Node collects garbage when it allocates, not when it
 * rests. One that had a burst and went idle is asked to collect, one worker at a time.
 */
import { surgeBytes, usedBytes } from './budget.ts';
import { tell, type PoolState, type Turn } from './turn.ts';
import type { WorkerId } from './types.ts';
import type { Worker } from './worker.ts';

/** Idle for so long: between two visitors nobody should meet a collection. */
export const HEAL_IDLE_MS = 10_000;
/** The same while the budget is short: a pause of 0.1 s is cheaper than a new worker. */
export const HEAL_PRESSED_MS = 2000;
/** Worth it from here on: 1.5 × the floor, and 16 MiB above it (a collection costs 30-110 ms). */
const HEAL_FACTOR = 1.5;
const HEAL_LEAST_BYTES = 16 * 1024 * 1024;
/** A collection takes 0.1 s, a second on a busy machine; after this nobody waits for its word. */
const HEAL_TIMEOUT_MS = 10_000;

/** The collection under way: one at a time in the whole pool. */
export interface Heal {
  readonly worker: WorkerId;
  readonly deadline: number;
  readonly beforeBytes: number;
}

/** Asks the idle worker that gains most, if it is time. */
export function startHeal(turn: Turn): void {
  const { pool, now } = turn;
  if (pool.heal !== null) {
    if (pool.heal.deadline > now && pool.workers.has(pool.heal.worker)) return;
    pool.heal = null;
  }
  const patient = patients(pool).find((worker) => healAt(pool, worker) <= now);
  if (patient === undefined) return;
  const { id, memoryBytes } = patient;
  pool.heal = { worker: id, deadline: now + HEAL_TIMEOUT_MS, beforeBytes: memoryBytes };
  pool.workers.set(id, { ...patient, healedBusyAt: patient.busyAt });
  turn.effects.push({ type: 'heal', worker: id });
}

/** It has collected: `memoryBytes` is what it needs now. */
export function endHeal(turn: Turn, worker: WorkerId, memoryBytes: number, tookMs: number): void {
  const { pool } = turn;
  const { heal } = pool;
  const patient = pool.workers.get(worker);
  if (heal?.worker !== worker || patient === undefined) return;
  pool.heal = null;
  pool.workers.set(worker, { ...patient, memoryBytes });
  const { slot } = patient;
  const { beforeBytes } = heal;
  pool.heals += 1;
  pool.healedBytes += Math.max(0, beforeBytes - memoryBytes);
  tell(turn, { event: 'healed', slot, beforeBytes, afterBytes: memoryBytes, tookMs });
}

/** When something is to be done about a heal; Infinity = nothing is in sight. */
export function nextHealAt(pool: PoolState): number {
  if (pool.heal !== null) return pool.heal.deadline;
  return Math.min(Infinity, ...patients(pool).map((worker) => healAt(pool, worker)));
}

// --- internal ---

function patients(pool: PoolState): Worker[] {
  if (!pool.policy.heal || pool.phase.type !== 'running') return [];
  return [...pool.workers.values()]
    .filter((worker) => {
      const { life, slot, report, memoryBytes, floorBytes, healedBusyAt, busyAt } = worker;
      if (life.state !== 'ready' || life.silent || report.inFlight > 0) return false;
      if (pool.slots.get(slot)?.recycle !== null || healedBusyAt === busyAt) return false;
      if (floorBytes === null || memoryBytes < floorBytes * HEAL_FACTOR) return false;
      return memoryBytes - floorBytes >= HEAL_LEAST_BYTES;
    })
    .sort((a, b) => b.memoryBytes - a.memoryBytes || a.id - b.id);
}

function healAt(pool: PoolState, { busyAt }: Worker): number {
  const { budgetBytes } = pool.policy;
  const short = budgetBytes > 0 && usedBytes(pool) + surgeBytes(pool) > budgetBytes;
  return busyAt + (short ? HEAL_PRESSED_MS : HEAL_IDLE_MS);
}

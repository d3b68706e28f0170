/**
 * The trial of a new configuration: one worker of it, the canary, has to become ready before any
 * other is replaced. Until then the old configuration rules; if the canary fails it goes on ruling.
 * Where several pools are reloaded together, it also waits for theirs.
 */
import { noteFloor } from './floor.ts';
import { NO_LESSONS } from './lessons.ts';
import { NO_FAILURES } from './restarts.ts';
import { scaleTo } from './size.ts';
import { changeSlot, slotOf, tell, type PoolState, type Turn } from './turn.ts';
import type { Policy, WorkerId } from './types.ts';

/** Which configuration the pool is about to have. */
export interface Trial {
  readonly epoch: number;
  readonly policy: Policy;
  readonly startedAt: number;
  /** Where the canary is, or will be when its place is free; null = not chosen yet. */
  readonly slot: number | null;
  readonly worker: WorkerId | null;
  /** Not this pool alone decides. */
  readonly isJoint: boolean;
  /** Its canary was ready: what becomes of that worker later is no matter of the trial. */
  readonly isProved: boolean;
}

/** The canary is ready, and the others follow it one by one. */
export interface Roll {
  readonly epoch: number;
  readonly startedAt: number;
}

/** The canary is ready: its configuration rules, or waits for the other pools. */
export function passTrial(turn: Turn, trial: Trial, slot: number): void {
  const { epoch } = trial;
  if (trial.isJoint) {
    turn.pool.trial = { ...trial, isProved: true };
    return tell(turn, { event: 'canary_ready', epoch, slot });
  }
  tell(turn, { event: 'reload_rolling', epoch, slot });
  commitTrial(turn, trial);
}

/** All pools have passed. */
export function commitJoint(turn: Turn, epoch: number): void {
  const { trial } = turn.pool;
  if (trial?.epoch !== epoch || !trial.isProved || trial.slot === null) return;
  tell(turn, { event: 'reload_rolling', epoch, slot: trial.slot });
  commitTrial(turn, trial);
}

/** The new configuration rules; workers of the old one are due. */
export function commitTrial(turn: Turn, { epoch, policy, startedAt }: Trial): void {
  const { pool } = turn;
  // A pool that was scaled by hand keeps its size unless the configuration itself changed it.
  const wanted = policy.workers === pool.policy.workers ? pool.size : policy.workers;
  pool.trial = null;
  pool.policy = policy;
  pool.epoch = epoch;
  pool.roll = { epoch, startedAt };
  pool.floorTold = false;
  pool.growthTold = false;
  // It may be another app now.
  pool.lessons = { ...pool.lessons, floorBytes: null, slopes: NO_LESSONS.slopes };
  // Failures of the old configuration prove nothing about the new one.
  for (const number of pool.slots.keys()) changeSlot(turn, number, { restarts: NO_FAILURES });
  learnFloors(turn);
  scaleTo(turn, wanted, 'reload');
}

/** The old configuration goes on as if nothing had been asked; its workers never stopped. */
export function rollBack(turn: Turn, detail: string): void {
  const { pool, now } = turn;
  const { trial } = pool;
  if (trial === null) return;
  const { epoch, slot, startedAt, isProved } = trial;
  pool.trial = null;
  if (slot !== null) {
    const { recycle } = slotOf(turn, slot);
    // Broken first, its slot is empty: it is filled again, and that is no recycle any more.
    // After the proof it is another one, which replaces the canary.
    if (recycle?.replacedAt === null && !isProved) changeSlot(turn, slot, { recycle: null });
    // One that was ready serves on until it is replaced, and is never born again.
    if (slotOf(turn, slot).epoch === epoch) changeSlot(turn, slot, { epoch: pool.epoch });
  }
  tell(turn, { event: 'reload_rolled_back', epoch, slot, detail, tookMs: now - startedAt });
}

/** Says once that every wanted slot is served by the configuration that rules. */
export function finishRoll(turn: Turn): void {
  const { pool, now } = turn;
  const { roll } = pool;
  if (roll === null) return;
  const served = new Set<number>();
  for (const { life, epoch, slot } of pool.workers.values()) {
    if (life.state === 'ready' && epoch === pool.epoch && slot <= pool.size) served.add(slot);
  }
  if (served.size < pool.size) return;
  pool.roll = null;
  const tookMs = now - roll.startedAt;
  tell(turn, { event: 'reloaded', epoch: roll.epoch, workers: pool.size, tookMs });
}

/** Whose place the canary may take, if it has none yet: the oldest that serves. */
export function canaryVictim(pool: PoolState): WorkerId | null {
  if (pool.trial === null || pool.trial.slot !== null || pool.trial.isProved) return null;
  for (const { id, slot, life } of pool.workers.values()) {
    if (life.state !== 'ready' || slot > pool.size) continue;
    if (pool.slots.get(slot)?.recycle === null) return id;
  }
  return null;
}

// --- internal ---

/** A canary that waited for other pools was sampled before its configuration ruled. */
function learnFloors(turn: Turn): void {
  const { pool } = turn;
  for (const { slot, epoch, floorBytes } of pool.workers.values()) {
    if (epoch === pool.epoch && floorBytes !== null) noteFloor(turn, slot, floorBytes);
  }
}

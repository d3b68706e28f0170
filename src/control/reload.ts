/** A reload: how it begins, and where its canary goes. What becomes of it: trial. */
import { dispatch } from './news.ts';
import { isEnding, resize } from './size.ts';
import { commitTrial, rollBack } from './trial.ts';
import { slotOf, spawn, workersIn, type Turn } from './turn.ts';
import type { Policy } from './types.ts';

/** A new, valid configuration. The newest wins: one that is still on trial is rolled back. */
export function beginReload(turn: Turn, policy: Policy, isJoint: boolean): void {
  const { pool, now } = turn;
  if (isEnding(turn)) return;
  abandonTrial(turn, 'a newer reload came before its first worker was ready');
  pool.reloads += 1;
  const begun = { epoch: pool.reloads, policy, startedAt: now, slot: null, worker: null };
  const trial = { ...begun, isJoint, isProved: false };
  // Before anything served there is nothing that a rollback could save, unless in another pool.
  if (pool.phase.type !== 'running' && !isJoint) return commitTrial(turn, trial);
  pool.trial = trial;
  if (pool.size === 0) resize(turn, 1, 'reload');
}

/** The configuration on trial, if there is one, is not wanted any more. */
export function abandonTrial(turn: Turn, detail: string): void {
  const { trial } = turn.pool;
  if (trial === null) return;
  rollBack(turn, detail);
  // One that is ready has clients: it is due now, like any worker of another configuration.
  if (trial.worker !== null && !trial.isProved) dispatch(turn, trial.worker, { type: 'terminate' });
}

/** Another pool could not try it. */
export function takeBack(turn: Turn, epoch: number, detail: string): void {
  if (turn.pool.trial?.epoch === epoch) abandonTrial(turn, detail);
}

/**
 * Gives the canary a slot that is empty anyway: one that backs off (the reload may be what mends
 * it), or any if nobody lives. Else it takes its turn at the gate like every replacement.
 */
export function placeCanary(turn: Turn): void {
  const { pool, now } = turn;
  if (pool.phase.type === 'starting') return;
  forgetLostCanary(turn);
  const { trial } = pool;
  if (trial === null || trial.slot !== null) return;
  for (let number = 1; number <= pool.size; number += 1) {
    const { restarts, recycle } = slotOf(turn, number);
    if (workersIn(turn, number).length > 0 || recycle !== null) continue;
    if (now >= restarts.notBefore && pool.workers.size > 0) continue;
    pool.trial = { ...trial, slot: number };
    return spawn(turn, number);
  }
}

// --- internal ---

/** It was scaled away, or its free retry comes: another place, another try. */
function forgetLostCanary(turn: Turn): void {
  const { pool } = turn;
  const { trial } = pool;
  if (trial === null || trial.slot === null || trial.isProved) return;
  const boots = trial.worker !== null && pool.workers.get(trial.worker)?.life.state === 'booting';
  const waits = trial.worker === null && slotOf(turn, trial.slot).recycle !== null;
  if (!boots && !waits) pool.trial = { ...trial, slot: null, worker: null };
}

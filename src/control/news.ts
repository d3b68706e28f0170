/** One event reaches one worker, and what the pool makes of it: back-off, counters, words. */
import type { DrainResult } from '../protocol.ts';
import { noteFloor } from './floor.ts';
import { learnBoot } from './lessons.ts';
import { afterBootFailure, afterCrash, afterReady, type Failure } from './restarts.ts';
import { passTrial, rollBack } from './trial.ts';
import { changeSlot, slotOf, tell, workersIn, type Turn } from './turn.ts';
import type { WorkerId } from './types.ts';
import { ageOf, type Worker, type WorkerEvent } from './worker.ts';
import type { News } from './worker-moves.ts';
import { transition } from './worker-state.ts';

/** Passes the event through the worker's table. Late messages of the dead are ignored. */
export function dispatch(turn: Turn, id: WorkerId, event: WorkerEvent): void {
  const { pool, now } = turn;
  const before = pool.workers.get(id);
  if (before === undefined) return;
  const result = transition(before, event, { now, policy: pool.policy });
  if (result === null) return;
  const { worker, effects, news } = result;
  if (worker.life.state === 'gone') pool.workers.delete(id);
  else pool.workers.set(id, worker);
  turn.effects.push(...effects);
  if (news !== null) hear(turn, worker, news);
  if (worker.life.state === 'gone') recordLeaving(turn, worker);
}

/** What was cut when it left: its own word if it said it, else what it last reported. */
export function lossOf(worker: Worker): DrainResult {
  const { inFlight, longLived } = worker.report;
  return (
    worker.drained ?? {
      moved: 0,

      cutRequests: Math.max(0, inFlight - longLived),
      cutLongLived: longLived,
    }
  );
}

// --- internal ---

function hear(turn: Turn, worker: Worker, news: News): void {
  switch (news.type) {
    case 'ready':
      return hearReady(turn, worker);
    case 'boot_failed':
      return hearBootFailed(turn, worker, news);
    case 'crashed':
      return hearCrashed(turn, worker, news);
    case 'floor':
      return noteFloor(turn, worker.slot, worker.memoryBytes);
  }
}

function hearReady(turn: Turn, worker: Worker): void {
  const { pool, now } = turn;
  const { slot, generation, pid } = worker;
  const { restarts, recycle } = slotOf(turn, slot);
  const replaced = recycle !== null && recycle.replacedAt === null;
  changeSlot(turn, slot, {
    everReady: true,
    epoch: worker.epoch,
    restarts: afterReady(restarts),
    recycle: replaced ? { ...recycle, replacedAt: now } : recycle,
  });
  if (pool.phase.type === 'starting') pool.phase = { type: 'running' };
  const bootMs = now - worker.bornAt;
  pool.lessons = learnBoot(pool.lessons, bootMs);
  tell(turn, { event: 'worker_ready', slot, generation, pid: pid ?? 0, bootMs });
  const { trial } = pool;
  if (trial?.worker === worker.id && !trial.isProved) passTrial(turn, trial, slot);
}

function hearBootFailed(
  turn: Turn,
  worker: Worker,
  news: Extract<News, { type: 'boot_failed' }>,
): void {
  const { pool, now } = turn;
  const { slot, generation, pid } = worker;
  const { detail, retryAtOnce } = news;
  const before = slotOf(turn, slot);
  const restarts = afterBootFailure(before.restarts, failureOf(turn, slot), retryAtOnce);
  const free = restarts.freeRetries > before.restarts.freeRetries;
  const retryInMs = Math.max(0, restarts.notBefore - now);
  pool.bootFailures += 1;
  // It says nothing against the configuration that rules.
  if (pool.trial?.worker === worker.id && !free) return rollBack(turn, detail);
  changeSlot(turn, slot, { restarts });
  if (pool.phase.type === 'starting' && !free) {
    pool.phase = { type: 'failed', detail };
    return;
  }
  const failures = restarts.failures.length;
  tell(turn, {
    event: 'boot_failed',
    slot,
    generation,
    pid: pid ?? 0,
    detail,
    failures,
    retryInMs,
  });
  const { recycle } = before;
  if (recycle === null || recycle.replacedAt !== null || recycle.left !== null) return;
  // Without its replacement the recycle gives the gate back; the old worker is still due, so it
  // comes up again by itself when the back-off is over.
  const { reason } = recycle.due;
  changeSlot(turn, slot, { recycle: null });
  // A slot that was scaled away in this very turn has nothing to come.
  if (slot > pool.size) return;
  tell(turn, { event: 'recycle_postponed', slot, reason, detail, retryInMs });
}

function hearCrashed(turn: Turn, worker: Worker, news: Extract<News, { type: 'crashed' }>): void {
  const { pool, now } = turn;
  const { slot, generation, pid } = worker;
  const { leaving, code, signal, detail } = news;
  const { restarts: before, recycle } = slotOf(turn, slot);
  // One that was leaving has its replacement already: its crash delays nobody.
  const restarts = leaving
    ? before
    : afterCrash(before, { now, healthySince: worker.readyAt, random: turn.random });
  const unreplaced = recycle?.old === worker.id && recycle.replacedAt === null && !leaving;
  pool.crashes += 1;
  changeSlot(turn, slot, { restarts, recycle: unreplaced ? null : recycle });
  tell(turn, {
    event: 'worker_crashed',
    slot,
    generation,
    pid: pid ?? 0,
    code,
    signal,
    requests: worker.report.requests,
    inFlight: worker.report.inFlight,
    ageMs: ageOf(worker, now),
    detail,
    retryInMs: leaving ? 0 : Math.max(0, restarts.notBefore - now),
  });
}

function recordLeaving(turn: Turn, worker: Worker): void {
  const { pool, now } = turn;
  const { recycle } = slotOf(turn, worker.slot);
  if (recycle?.old === worker.id) {
    changeSlot(turn, worker.slot, { recycle: { ...recycle, left: { worker, at: now } } });
  }
  if (pool.phase.type !== 'stopping') return;
  const { cutRequests, cutLongLived } = lossOf(worker);
  pool.phase = {
    ...pool.phase,
    cutRequests: pool.phase.cutRequests + cutRequests,
    cutLongLived: pool.phase.cutLongLived + cutLongLived,
    killed: pool.phase.killed + (worker.killed ? 1 : 0),
  };
}

function failureOf(turn: Turn, slot: number): Failure {
  const serving = workersIn(turn, slot).find((worker) => worker.life.state === 'ready');
  return { now: turn.now, healthySince: serving?.readyAt ?? null, random: turn.random };
}

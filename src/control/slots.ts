/** "Have less than wanted: spawn; have more: drain." Compares the slots with what lives in them. */
import { waitsForFloor } from './fit.ts';
import { dispatch } from './news.ts';
import { changeSlot, countRecycle, slotOf, spawn, tell, workersIn, type Turn } from './turn.ts';
import { isSilent, type Worker } from './worker.ts';

/**
 * Slots that boot at once before they served for the first time. Two keep a core busy while the
 * other one waits for its disk or database; more would starve the workers that serve already.
 */
export const FIRST_BOOTS_AT_ONCE = 2;

/** Starts a worker in every wanted slot that has none and may have one now. */
export function fillSlots(turn: Turn): void {
  const { pool } = turn;
  // Until the first worker knows the listening sockets there is nothing to give to others.
  const alone = pool.phase.type === 'starting' || waitsForFloor(pool);
  const wanted = alone ? Math.min(1, pool.size) : pool.size;
  for (let number = 1; number <= wanted; number += 1) {
    if (mayFill(turn, number)) spawn(turn, number);
  }
  tellAllReady(turn);
}

/** Sends the workers of slots that are not wanted any more away. */
export function retireExcess(turn: Turn): void {
  const { pool } = turn;
  for (const { number, recycle } of pool.slots.values()) {
    if (number <= pool.size) continue;
    // Without a replacement to come there is nothing to make before it breaks.
    if (recycle?.replacedAt === null) changeSlot(turn, number, { recycle: null });
    for (const worker of workersIn(turn, number)) retireOne(turn, worker);
  }
}

/** Whether another worker would still serve if this one did not. */
export function leavesOthersServing(turn: Turn, worker: Worker): boolean {
  return [...turn.pool.workers.values()].some(
    (other) => other.id !== worker.id && other.life.state === 'ready' && !isSilent(other),
  );
}

/** Drains a ready worker, or, when it hears nothing or hangs in a request, ends it. */
export function retire(turn: Turn, worker: Worker): void {
  const { policy, size } = turn.pool;
  const { drainTimeoutMs: deadlineMs, longDrainTimeoutMs: longDeadlineMs } = policy;
  if (isSilent(worker) || worker.overdue) dispatch(turn, worker.id, { type: 'terminate' });
  else dispatch(turn, worker.id, { type: 'drain', deadlineMs, longDeadlineMs, last: size === 0 });
}

/** Workers that live beside another one of the same slot: they use up the surge. */
export function countExtras(turn: Turn): number {
  const perSlot = new Map<number, number>();
  for (const { slot } of turn.pool.workers.values()) {
    perSlot.set(slot, (perSlot.get(slot) ?? 0) + 1);
  }
  return [...perSlot.values()].reduce((extras, live) => extras + live - 1, 0);
}

// --- internal ---

function mayFill(turn: Turn, number: number): boolean {
  const { pool, now } = turn;
  const { everReady, restarts, recycle } = slotOf(turn, number);
  const live = workersIn(turn, number);
  // Broken first for want of room: its memory has to be free before the next one needs some.
  if (recycle?.breakFirst === true && recycle.left === null) return false;
  // One that serves or boots is enough; one that failed to boot has to be gone before the next try.
  if (live.some(({ life, readyAt }) => life.state === 'ready' || readyAt === null)) return false;
  if (live.length > 0 && countExtras(turn) >= pool.policy.surge) return false;
  if (now < restarts.notBefore) return false;
  return everReady || countFirstBoots(turn) < FIRST_BOOTS_AT_ONCE;
}

function countFirstBoots(turn: Turn): number {
  return [...turn.pool.workers.values()].filter(
    ({ life, slot }) => life.state === 'booting' && !slotOf(turn, slot).everReady,
  ).length;
}

function retireOne(turn: Turn, worker: Worker): void {
  if (worker.life.state === 'booting') return dispatch(turn, worker.id, { type: 'terminate' });
  if (worker.life.state !== 'ready') return;
  // A kept slot may be down at this moment: then the last one that serves stays until it is not.
  const isLast = !isSilent(worker) && !leavesOthersServing(turn, worker);
  if (isLast && turn.pool.size > 0) return;
  countRecycle(turn, 'scale_down');
  retire(turn, worker);
}

function tellAllReady(turn: Turn): void {
  const { pool, now } = turn;
  if (pool.allReadyTold) return;
  const ready = [...pool.workers.values()].filter(({ life }) => life.state === 'ready');
  const slots = new Set(ready.map(({ slot }) => slot).filter((slot) => slot <= pool.size));
  if (slots.size < pool.size) return;
  pool.allReadyTold = true;
  tell(turn, { event: 'all_ready', workers: pool.size, tookMs: now - pool.startedAt });
}

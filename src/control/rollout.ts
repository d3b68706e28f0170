/**
 * Whose turn it is to be replaced: one gate for all reasons, the most pressing first. There is no
 * queue: who is due is asked anew in each step, so nobody waits twice and nothing has to be undone.
 */
import { budgetVictims, hasSurgeRoom } from './budget.ts';
import { concurrencyOf, predictedVictim } from './forecast.ts';
import { learnDrain, learnSlope } from './lessons.ts';
import { dispatch, lossOf } from './news.ts';
import { budgetDue, dueOf, predictedDue, reloadDue, type Due } from './recycling.ts';
import { countExtras, leavesOthersServing, retire } from './slots.ts';
import { canaryVictim } from './trial.ts';
import {
  changeSlot,
  countRecycle,
  spawn,
  tell,
  workersIn,
  type Recycle,
  type Turn,
} from './turn.ts';
import { ageOf, isSilent, slopeToTell, type Worker } from './worker.ts';

/** Takes the recycles under way one step further: drain the old one, or call it done. */
export function advanceRecycles(turn: Turn): void {
  for (const slot of turn.pool.slots.values()) {
    const { recycle } = slot;
    if (recycle === null || recycle.replacedAt === null) continue;
    if (recycle.left !== null) {
      finishRecycle(turn, slot.number, recycle, recycle.replacedAt, recycle.left);
      continue;
    }
    const old = turn.pool.workers.get(recycle.old);
    // An unresponsive worker that spoke again meanwhile is replaced all the same (it will stand
    // still again, and its replacement is ready), but it gets the polite drain.
    if (old?.life.state === 'ready') retire(turn, old);
  }
}

/**
 * Starts the recycles that are due while the gate has room. While any slot backs off only urgent
 * ones start: what keeps one replacement from booting keeps the others too (a bad configuration
 * above all), and one slot is enough to find out when it is mended.
 */
export function startRecycles(turn: Turn): void {
  const troubled = [...turn.pool.slots.values()].some(
    ({ restarts }) => restarts.notBefore > turn.now,
  );
  for (const { worker, due } of listDue(turn)) {
    const isCanary = due.reason === 'reload' && turn.pool.trial !== null;
    // What troubles them may be what the reload mends.
    if (troubled && !due.urgent && !isCanary) continue;
    if (!hasRoom(turn)) {
      if (due.urgent) hurryLingerer(turn);
      return;
    }
    if (turn.pool.policy.surge > 0 && hasSurgeRoom(turn.pool)) startMakeFirst(turn, worker, due);
    else if (mayBreak(turn, worker)) startBreakFirst(turn, worker, due);
  }
}

// --- internal ---

interface Candidate {
  readonly worker: Worker;
  readonly due: Due;
}

function listDue(turn: Turn): Candidate[] {
  const { pool, now } = turn;
  const candidates: Candidate[] = [];
  const predicted = predictedVictim(pool, now);
  const victims = budgetVictims(pool, now);
  const canary = canaryVictim(pool);
  // While a newer configuration is on trial, nobody is replaced by the one before it.
  const epoch = pool.trial === null ? pool.epoch : null;
  const findDue = (worker: Worker): Due | null => {
    const dues = [dueOf(worker, pool.policy, epoch, now)];
    if (worker.id === canary) dues.push(reloadDue());
    if (worker.id === predicted) dues.push(predictedDue(pool.policy));
    if (worker.pressed || victims.has(worker.id)) {
      dues.push(budgetDue(pool.policy, pool.overBudget));
    }
    return dues.reduce((first, due) =>
      (due?.rank ?? Infinity) < (first?.rank ?? Infinity) ? due : first,
    );
  };
  for (let number = 1; number <= pool.size; number += 1) {
    const slot = pool.slots.get(number);
    if (slot === undefined || slot.recycle !== null || now < slot.restarts.notBefore) continue;
    const live = workersIn(turn, number);
    // A failed replacement that still dies is in the way of the next one.
    if (live.some(({ readyAt }) => readyAt === null)) continue;
    const worker = live.find(({ life }) => life.state === 'ready');
    const due = worker === undefined ? null : findDue(worker);
    if (worker !== undefined && due !== null) candidates.push({ worker, due });
  }
  // Victims come with the one first that gives most back.
  const order = [...victims];
  const place = ({ worker: { id } }: Candidate): number => order.indexOf(id);
  return candidates.sort(
    (a, b) => a.due.rank - b.due.rank || place(a) - place(b) || a.worker.id - b.worker.id,
  );
}

function hasRoom(turn: Turn): boolean {
  const { policy, slots } = turn.pool;
  const running = [...slots.values()].filter(({ recycle }) => recycle !== null).length;
  if (running >= concurrencyOf(turn.pool)) return false;
  return policy.surge === 0 || countExtras(turn) < policy.surge;
}

/** Breaking the last worker that serves is only right where there is no other slot. */
function mayBreak(turn: Turn, worker: Worker): boolean {
  return isSilent(worker) || turn.pool.size === 1 || leavesOthersServing(turn, worker);
}

function startMakeFirst(turn: Turn, worker: Worker, due: Due): void {
  openRecycle(turn, worker, due, false);
  reserveForCanary(turn, worker, due);
  spawn(turn, worker.slot);
}

function startBreakFirst(turn: Turn, worker: Worker, due: Due): void {
  openRecycle(turn, worker, due, true);
  reserveForCanary(turn, worker, due);
  retire(turn, worker);
}

/** The replacement of this one will be of the configuration that is on trial. */
function reserveForCanary(turn: Turn, { slot }: Worker, { reason }: Due): void {
  const { trial } = turn.pool;
  if (trial !== null && reason === 'reload') turn.pool.trial = { ...trial, slot };
}

function openRecycle(turn: Turn, worker: Worker, due: Due, breakFirst: boolean): void {
  const { now } = turn;
  const { slot, generation, memoryBytes } = worker;
  changeSlot(turn, slot, {
    recycle: { due, breakFirst, startedAt: now, old: worker.id, left: null, replacedAt: null },
  });
  tell(turn, {
    event: 'recycle_started',
    slot,
    generation,
    reason: due.reason,
    breakFirst,
    requests: worker.report.requests,
    ageMs: ageOf(worker, now),
    memoryBytes,
    slopeBytesPerRequest: slopeToTell(worker),
    limit: due.limit,
  });
}

function finishRecycle(
  turn: Turn,
  slot: number,
  recycle: Recycle,
  replacedAt: number,
  left: { readonly worker: Worker; readonly at: number },
): void {
  const { due, startedAt } = recycle;
  const { worker, at } = left;
  const { generation, memoryBytes, killed } = worker;
  const { pool } = turn;
  const drainMs = worker.drainingSince === null ? 0 : at - worker.drainingSince;
  changeSlot(turn, slot, { recycle: null });
  countRecycle(turn, due.reason);
  // What lingers longer serves nobody new, so it does not grow.
  const lessons = learnDrain(pool.lessons, Math.min(drainMs, pool.policy.drainTimeoutMs));
  pool.lessons = worker.epoch === pool.epoch ? learnSlope(lessons, worker.growth.slope) : lessons;
  tell(turn, {
    event: 'recycled',
    slot,
    generation,
    reason: due.reason,
    requests: worker.report.requests,
    ageMs: ageOf(worker, at),
    memoryBytes,
    slopeBytesPerRequest: slopeToTell(worker),
    limit: due.limit,
    replacedInMs: replacedAt - startedAt,
    drainMs,
    ...lossOf(worker),
    killed,
  });
}

/**
 * An urgent replacement does not wait for hours until somebody closes a WebSocket: if all that is
 * in its way only lingers, the one that would end soonest ends now.
 */
function hurryLingerer(turn: Turn): void {
  const blockers = listBlockers(turn);
  const lingering = blockers.flatMap((worker) =>
    worker?.life.state === 'lingering' && !worker.life.cut
      ? [{ id: worker.id, deadline: worker.life.deadline }]
      : [],
  );
  // One that is further on makes room in a moment.
  if (lingering.length < blockers.length) return;
  const soonest = lingering.sort((a, b) => a.deadline - b.deadline)[0];
  if (soonest === undefined) return;
  dispatch(turn, soonest.id, {
    type: 'drain',
    deadlineMs: 0,
    longDeadlineMs: 0,
    last: false,
  });
}

/** Who holds the gate, or else the surge; undefined = an old worker that is gone already. */
function listBlockers(turn: Turn): (Worker | undefined)[] {
  const { pool } = turn;
  const olds = [...pool.slots.values()].flatMap(({ recycle }) => recycle?.old ?? []);
  if (olds.length >= concurrencyOf(pool)) return olds.map((id) => pool.workers.get(id));
  return [...pool.workers.values()].filter(
    ({ slot, life }) =>
      life.state !== 'ready' && life.state !== 'booting' && workersIn(turn, slot).length > 1,
  );
}

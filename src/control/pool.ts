/**
 * The pool: what the supervisor calls. Pure: the same state, event, time and random numbers always
 * give the same answer; the state that is passed in is never changed.
 */
import { watchGrowth } from './arithmetic.ts';
import { noteOverhead, relievePressure, watchBudget } from './budget.ts';
import { fitAt, fitWorkers } from './fit.ts';
import { nextStartAt } from './forecast.ts';
import { endHeal, nextHealAt, startHeal } from './heal.ts';
import { watchLoad } from './load.ts';
import { dispatch } from './news.ts';
import { abandonTrial, beginReload, placeCanary, takeBack } from './reload.ts';
import { advanceRecycles, startRecycles } from './rollout.ts';
import { askForStop, finishIfEmpty, stopWhenDue } from './shutdown.ts';
import { fillSlots, retireExcess } from './slots.ts';
import { nextScaleAt, noteDemand, scaleByLoad } from './scaling.ts';
import { shiftScaling } from './scaling-state.ts';
import { scaleTo } from './size.ts';
import { commitJoint, finishRoll } from './trial.ts';
import { beginTurn, changeSlot, createPoolState, tell, type PoolState, type Turn } from './turn.ts';
import type { Effect, Policy, PoolEvent, PoolTotals, WorkerView } from './types.ts';
import { deadlineOf, shiftWorker, viewOf } from './worker.ts';

export type { PoolState } from './turn.ts';

/** A pool in which nothing happens until the event `start`. */
export function createPool(policy: Policy): PoolState {
  return createPoolState(policy);
}

/**
 * Applies one event, then does whatever is due at `now`. Never throws. Effects are to be performed
 * in order. `random` gives numbers in 0..1.
 */
export function step(
  state: PoolState,
  event: PoolEvent,
  now: number,
  random: () => number,
): { state: PoolState; effects: Effect[] } {
  if (state.phase.type === 'finished') return { state, effects: [] };
  const turn = beginTurn(state, now, random);
  apply(turn, event);
  settle(turn);
  return { state: turn.pool, effects: turn.effects };
}

/**
 * The earliest time at which a `tick` would do something, or null; the supervisor arms one timer.
 */
export function nextDeadline(state: PoolState): number | null {
  let next = Infinity;
  const consider = (at: number | null): void => {
    // What was due by the last step waits for an event, not for time.
    if (at !== null && at > state.now && at < next) next = at;
  };
  for (const worker of state.workers.values()) {
    consider(deadlineOf(worker));
    if (worker.life.state === 'ready' && worker.ageLimitMs > 0) {
      consider((worker.readyAt ?? worker.bornAt) + worker.ageLimitMs);
    }
    if (worker.readyAt !== null) consider(worker.readyAt + state.policy.minAgeMs);
  }
  for (const slot of state.slots.values()) consider(slot.restarts.notBefore);
  if (state.phase.type === 'leaving') consider(state.phase.stopAt);
  consider(fitAt(state));
  consider(nextStartAt(state));
  consider(nextHealAt(state));
  consider(nextScaleAt(state));
  return next === Infinity ? null : next;
}

/** All live workers, by slot and generation. */
export function workersOf(state: PoolState): readonly WorkerView[] {
  return [...state.workers.values()]
    .map(viewOf)
    .sort((a, b) => a.slot - b.slot || a.generation - b.generation);
}

export function totals(state: PoolState): PoolTotals {
  const { recycles, crashes, bootFailures } = state;
  const recyclesInProgress = [...state.slots.values()].filter((slot) => slot.recycle).length;
  const ready = [...state.workers.values()].filter(({ life }) => life.state === 'ready').length;
  return { recycles, crashes, bootFailures, recyclesInProgress, ready };
}

// --- internal ---

/**
 * Rounds of "reconcile, then deadlines" in one step. A chain of states whose timeouts are all zero
 * is six long; more rounds than that would be a fault, and must not hang the supervisor.
 */
const ROUNDS_MAX = 8;

function apply(turn: Turn, event: PoolEvent): void {
  switch (event.type) {
    case 'start':
      return start(turn);
    case 'tick':
      return;
    case 'recycle':
      return askForRecycle(turn, event.slot);
    case 'reload':
      return beginReload(turn, event.policy, event.isJoint === true);
    case 'commit':
      return commitJoint(turn, event.epoch);
    case 'roll_back':
      return takeBack(turn, event.epoch, event.detail);
    case 'scale':
      return scaleTo(turn, event.slots, 'asked');
    case 'scale_by':
      return scaleTo(turn, turn.pool.size + event.slots, 'asked');
    case 'demand':
      return noteDemand(turn, event);
    case 'stop':
      abandonTrial(turn, 'Cofferdam stops');
      return askForStop(turn, event);
    case 'suspended':
      return shift(turn, event.gapMs);
    case 'overhead':
      return noteOverhead(turn, event);
    case 'pressure':
      return relievePressure(turn);
    case 'healed':
      return endHeal(turn, event.worker, event.memoryBytes, event.tookMs);
    default:
      return dispatch(turn, event.worker, event);
  }
}

function settle(turn: Turn): void {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const before = turn.effects.length;
    stopWhenDue(turn);
    reconcile(turn);
    // After reconcile, since an order may bring a deadline forward without any effect of its own.
    fireDeadlines(turn);
    if (turn.effects.length === before) return;
  }
}

function fireDeadlines(turn: Turn): void {
  for (const worker of turn.pool.workers.values()) {
    const deadline = deadlineOf(worker);
    if (deadline !== null && deadline <= turn.now) {
      dispatch(turn, worker.id, { type: 'deadline' });
    }
  }
}

function reconcile(turn: Turn): void {
  const { type } = turn.pool.phase;
  // One that leaves serves on with full strength: others still send it their requests.
  if (type === 'starting' || type === 'running' || type === 'leaving') {
    retireExcess(turn);
    advanceRecycles(turn);
    fitWorkers(turn);
    scaleByLoad(turn);
    placeCanary(turn);
    fillSlots(turn);
    finishRoll(turn);
    watchBudget(turn);
    watchLoad(turn);
    watchGrowth(turn);
    startHeal(turn);
    startRecycles(turn);
  }
  finishIfEmpty(turn);
}

function start(turn: Turn): void {
  const { pool, now } = turn;
  if (pool.phase.type !== 'idle') return;
  pool.phase = { type: 'starting' };
  pool.startedAt = now;
}

function askForRecycle(turn: Turn, slot: number | null): void {
  const { pool } = turn;
  for (const worker of pool.workers.values()) {
    if (slot !== null && worker.slot !== slot) continue;
    // Being replaced already is what was asked for.
    if (pool.slots.get(worker.slot)?.recycle) continue;
    dispatch(turn, worker.id, { type: 'ask' });
  }
}

function shift(turn: Turn, exactGapMs: number): void {
  const gapMs = Math.ceil(exactGapMs);
  if (!(gapMs > 0)) return;
  const { pool } = turn;
  for (const worker of pool.workers.values()) {
    pool.workers.set(worker.id, shiftWorker(worker, gapMs));
  }
  for (const { number, restarts } of pool.slots.values()) {
    // One that was over before the gap stays over.
    if (restarts.notBefore <= pool.now - gapMs) continue;
    changeSlot(turn, number, { restarts: { ...restarts, notBefore: restarts.notBefore + gapMs } });
  }
  if (pool.heal !== null) pool.heal = { ...pool.heal, deadline: pool.heal.deadline + gapMs };
  pool.scaling = shiftScaling(pool.scaling, gapMs);
  tell(turn, { event: 'suspended', gapMs });
}

/** The state of a pool, and one turn of it: the copy that a step may change, with its effects. */
import { rateOf } from './growth.ts';
import type { Heal } from './heal.ts';
import { drainAllowanceMs, longestBootMs, NO_LESSONS, type Lessons } from './lessons.ts';
import { NO_SCALING, type Scaling } from './scaling-state.ts';
import type { Roll, Trial } from './trial.ts';
import { createWorker, type Worker } from './worker.ts';
import { headStart, limitFor } from './recycling.ts';
import { NO_FAILURES, type Restarts } from './restarts.ts';
import type { Due } from './recycling.ts';
import {
  RECYCLE_REASONS,
  type Effect,
  type Policy,
  type RecycleReason,
  type Told,
  type WorkerId,
} from './types.ts';

/** How far the pool as a whole is. */
export type Phase =
  | { readonly type: 'idle' }
  /** Slot 1 boots alone: it discovers the listening sockets. */
  | { readonly type: 'starting' }
  | { readonly type: 'running' }
  /** Told to stop, serving on until then, so that load balancers can turn away first. */
  | { readonly type: 'leaving'; readonly stopAt: number }
  /** The first boot failed; what is left of it is being ended. */
  | { readonly type: 'failed'; readonly detail: string }
  | {
      readonly type: 'stopping';
      readonly mode: 'graceful' | 'now';
      readonly cutRequests: number;
      readonly cutLongLived: number;
      readonly killed: number;
    }
  | { readonly type: 'finished' };

/**
 * A replacement under way: it holds the gate until the old worker is gone and the new one served.
 */
export interface Recycle {
  readonly due: Due;
  readonly breakFirst: boolean;
  readonly startedAt: number;
  readonly old: WorkerId;
  /** What the old worker was like when it left; null while it lives. */
  readonly left: { readonly worker: Worker; readonly at: number } | null;
  /** The first replacement that became ready did so at this moment. */
  readonly replacedAt: number | null;
}

export interface Slot {
  readonly number: number;
  /** Of the last worker that was spawned; 0 = none yet. */
  readonly generation: number;
  /** Since it is wanted. */
  readonly everReady: boolean;
  /** Configuration of the last worker that was ready. */
  readonly epoch: number;
  readonly restarts: Restarts;
  readonly recycle: Recycle | null;
}

export interface PoolState {
  readonly policy: Policy;
  readonly phase: Phase;
  /** Time of the last step: whatever was due until then has been done. */
  readonly now: number;
  readonly startedAt: number;
  /** Slots that are wanted: 1..size. Higher ones only finish what they have. */
  readonly size: number;
  /** The configuration that rules: that of the last reload whose canary became ready. */
  readonly epoch: number;
  /** Reloads so far, rolled back ones included: epochs are never used twice. */
  readonly reloads: number;
  readonly trial: Trial | null;
  readonly roll: Roll | null;
  readonly scaling: Scaling;
  readonly nextWorker: WorkerId;
  readonly slots: ReadonlyMap<number, Slot>;
  /** Live workers only: what is not here is gone. */
  readonly workers: ReadonlyMap<WorkerId, Worker>;
  readonly recycles: Readonly<Record<RecycleReason, number>>;
  readonly crashes: number;
  readonly bootFailures: number;
  readonly allReadyTold: boolean;
  /** Told once per epoch. */
  readonly floorTold: boolean;
  readonly growthTold: boolean;
  /** Since when it was decided how many workers fit; null = not yet. */
  readonly fittedAt: number | null;
  readonly lessons: Lessons;
  /** In use beside the workers. */
  readonly overheadBytes: number;
  /** What other pools grow by, bytes in a millisecond. */
  readonly othersPerMs: number;
  /** It is this pool that makes room when the budget does not hold. */
  readonly mayReclaim: boolean;
  readonly overBudget: boolean;
  /** The recycler load is too high, and that was told. */
  readonly saturated: boolean;
  /** When the kernel's pressure last brought a recycle forward. */
  readonly pressedAt: number;
  readonly heal: Heal | null;
  readonly heals: number;
  readonly healedBytes: number;
}

/** Private to one step: maps and fields may be changed in place, records are replaced. */
export interface Turn {
  readonly pool: {
    -readonly [K in keyof PoolState]: PoolState[K];
  } & { slots: Map<number, Slot>; workers: Map<WorkerId, Worker> };
  readonly effects: Effect[];
  readonly now: number;
  readonly random: () => number;
}

export function createPoolState(policy: Policy): PoolState {
  return {
    policy,
    phase: { type: 'idle' },
    now: -Infinity,
    startedAt: 0,
    size: policy.workers,
    epoch: 0,
    reloads: 0,
    trial: null,
    roll: null,
    scaling: NO_SCALING,
    nextWorker: 1,
    slots: new Map(),
    workers: new Map(),
    recycles: Object.fromEntries(RECYCLE_REASONS.map((reason) => [reason, 0])) as Record<
      RecycleReason,
      number
    >,
    crashes: 0,
    bootFailures: 0,
    allReadyTold: false,
    floorTold: false,
    growthTold: false,
    fittedAt: null,
    lessons: NO_LESSONS,
    overheadBytes: 0,
    othersPerMs: 0,
    mayReclaim: true,
    overBudget: false,
    saturated: false,
    pressedAt: -Infinity,
    heal: null,
    heals: 0,
    healedBytes: 0,
  };
}

export function beginTurn(state: PoolState, now: number, random: () => number): Turn {
  // Whole milliseconds, so that sums and differences of times are exact and fit for people.
  const monotonic = Math.max(Math.floor(now), state.now);
  return {
    pool: {
      ...state,
      now: monotonic,
      slots: new Map(state.slots),
      workers: new Map(state.workers),
    },
    effects: [],
    now: monotonic,
    random,
  };
}

export function tell(turn: Turn, told: Told): void {
  turn.effects.push({ type: 'tell', told });
}

export function countRecycle(turn: Turn, reason: RecycleReason): void {
  const { recycles } = turn.pool;
  turn.pool.recycles = { ...recycles, [reason]: recycles[reason] + 1 };
}

export function slotOf(turn: Turn, number: number): Slot {
  return turn.pool.slots.get(number) ?? emptySlot(number);
}

export function changeSlot(turn: Turn, number: number, change: Partial<Slot>): void {
  turn.pool.slots.set(number, { ...slotOf(turn, number), ...change });
}

/** Live workers of a slot, the oldest first. */
export function workersIn(turn: Turn, slot: number): Worker[] {
  return [...turn.pool.workers.values()].filter((worker) => worker.slot === slot);
}

export function spawn(turn: Turn, slotNumber: number): void {
  const { pool, now, random } = turn;
  const isCanary = pool.trial?.slot === slotNumber && !pool.trial.isProved;
  const trial = isCanary ? pool.trial : null;
  const { policy } = trial ?? pool;
  const generation = slotOf(turn, slotNumber).generation + 1;
  const stagger = generation === 1 ? Math.min(1, slotNumber / pool.size) : 1;
  const worker = createWorker({
    id: pool.nextWorker,
    slot: slotNumber,
    generation,
    epoch: trial?.epoch ?? epochFor(turn, slotNumber),
    bornAt: now,
    bootTimeoutMs: policy.bootTimeoutMs,
    requestLimit: limitFor(requestsFor(policy, pool), policy.jitter, stagger, random()),
    ageLimitMs: limitFor(policy.maxAgeMs, policy.jitter, stagger, random()),
  });
  if (trial !== null) pool.trial = { ...trial, worker: worker.id };
  pool.nextWorker += 1;
  pool.workers.set(worker.id, worker);
  changeSlot(turn, slotNumber, { generation });
  const { id, slot, epoch, requestLimit } = worker;
  turn.effects.push({ type: 'spawn', worker: id, slot, generation, epoch, requestLimit });
}

// --- internal ---

function requestsFor(policy: Policy, { workers, lessons }: PoolState): number {
  const perMs = Math.max(0, ...[...workers.values()].map(({ growth }) => rateOf(growth)));
  const leadMs = longestBootMs(lessons) + drainAllowanceMs(lessons);
  return policy.maxRequests - headStart(policy, perMs, leadMs);
}

/**
 * Code and configuration of a generation belong together: who crashed before its turn came starts
 * again as it was. One that crashed more than once has nothing to go back to.
 */
function epochFor(turn: Turn, number: number): number {
  const { roll, epoch } = turn.pool;
  const slot = slotOf(turn, number);
  const own = roll !== null && slot.everReady && slot.recycle === null;
  return own && slot.restarts.failures.length <= 1 ? slot.epoch : epoch;
}

function emptySlot(number: number): Slot {
  return {
    number,
    generation: 0,
    everReady: false,
    epoch: 0,
    restarts: NO_FAILURES,
    recycle: null,
  };
}

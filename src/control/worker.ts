/** One worker as control knows it: a record, its life as a discriminated union, and its events. */
import type { DrainResult, WorkerReport } from '../protocol.ts';
import { NO_GROWTH, shiftGrowth, type Growth } from './growth.ts';
import type { PoolEvent, WorkerId, WorkerStateName, WorkerView } from './types.ts';

/**
 * Where a worker is in its life. A `deadline` is the moment at which this state has lasted too
 * long.
 */
export type Life =
  | { readonly state: 'booting'; readonly deadline: number }
  /**
   * `deadline`: without a report until then it is unresponsive; null = not watched, or told
   * already.
   */
  | { readonly state: 'ready'; readonly deadline: number | null; readonly silent: boolean }
  /** `cut`: its requests were ended at the deadline; what remains is the grace to say so. */
  | {
      readonly state: 'draining';
      readonly deadline: number;
      readonly longDeadline: number;
      readonly cut: boolean;
    }
  /** Only long-lived connections are left. */
  | { readonly state: 'lingering'; readonly deadline: number; readonly cut: boolean }
  /** TERM was sent; at the deadline KILL follows. */
  | { readonly state: 'stopping'; readonly deadline: number }
  | { readonly state: 'killing' }
  | { readonly state: 'gone' };

export interface Worker {
  readonly id: WorkerId;
  readonly slot: number;
  readonly generation: number;
  readonly epoch: number;
  readonly pid: number | null;
  readonly life: Life;
  readonly bornAt: number;
  readonly readyAt: number | null;
  readonly drainingSince: number | null;
  readonly lastReportAt: number;
  readonly report: WorkerReport;
  /** The longest standstill of its event loop before that report. */
  readonly lagMs: number;
  readonly memoryBytes: number;
  /** First sample after it became ready: what a recycle can at best get back to. */
  readonly floorBytes: number | null;
  /** Samples in a row above the soft limit. */
  readonly softStrikes: number;
  /** When its memory was read last. */
  readonly sampledAt: number;
  readonly growth: Growth;
  /** When it was last seen serving; what its heal was for is told by this moment, too. */
  readonly busyAt: number;
  readonly healedBusyAt: number | null;
  /** The kernel is short of memory, and it is the one that gives most back. */
  readonly pressed: boolean;
  /** Requests after which it is replaced; 0 = never. */
  readonly requestLimit: number;
  /** Age after which it is replaced; 0 = never. */
  readonly ageLimitMs: number;
  /** A person asked for its replacement. */
  readonly asked: boolean;
  /** A request held it for longer than any may. */
  readonly overdue: boolean;
  readonly drained: DrainResult | null;
  readonly killed: boolean;
}

/** What can happen to one worker: news from its process, orders of the pool, and its deadline. */
export type WorkerEvent =
  | Extract<
      PoolEvent,
      {
        type:
          | 'spawned'
          | 'ready'
          | 'boot_failed'
          | 'exited'
          | 'disconnected'
          | 'report'
          | 'sample'
          | 'drained'
          | 'overdue';
      }
    >
  /** Order: leave politely. To one that leaves already it only shortens the deadlines. */
  | {
      readonly type: 'drain';
      readonly deadlineMs: number;
      readonly longDeadlineMs: number;
      /** Nobody comes after it. */
      readonly last: boolean;
    }
  /** Order: TERM now, KILL later. To one that has its TERM it only shortens the deadline. */
  | { readonly type: 'terminate' }
  /** Order: KILL now. */
  | { readonly type: 'kill'; readonly why: string }
  /** A person wants it replaced. */
  | { readonly type: 'ask' }
  /** The deadline of its present state came. */
  | { readonly type: 'deadline' };

export type WorkerEventName = WorkerEvent['type'];

/** A worker that is known to be in state `S`. */
export type WorkerIn<S extends WorkerStateName> = Worker & {
  readonly life: Extract<Life, { state: S }>;
};

export interface Birth {
  readonly id: WorkerId;
  readonly slot: number;
  readonly generation: number;
  readonly epoch: number;
  readonly bornAt: number;
  readonly bootTimeoutMs: number;
  readonly requestLimit: number;
  readonly ageLimitMs: number;
}

export function createWorker(birth: Birth): Worker {
  const { bootTimeoutMs, ...identity } = birth;
  return {
    ...identity,
    pid: null,
    life: { state: 'booting', deadline: birth.bornAt + bootTimeoutMs },
    readyAt: null,
    drainingSince: null,
    lastReportAt: birth.bornAt,
    report: NO_REPORT,
    lagMs: 0,
    memoryBytes: 0,
    floorBytes: null,
    softStrikes: 0,
    sampledAt: birth.bornAt,
    growth: NO_GROWTH,
    busyAt: birth.bornAt,
    healedBusyAt: null,
    pressed: false,
    asked: false,
    overdue: false,
    drained: null,
    killed: false,
  };
}

/** The moment at which its present state has lasted too long, or null. */
export function deadlineOf(worker: Worker): number | null {
  return 'deadline' in worker.life ? worker.life.deadline : null;
}

/** The same worker as if `gapMs` had not passed: nobody pays for a supervisor that did not run. */
export function shiftWorker(worker: Worker, gapMs: number): Worker {
  const life = { ...worker.life };
  if ('deadline' in life && life.deadline !== null) life.deadline += gapMs;
  if (life.state === 'draining') life.longDeadline += gapMs;
  const { healedBusyAt } = worker;
  return {
    ...worker,
    life,
    lastReportAt: worker.lastReportAt + gapMs,
    sampledAt: worker.sampledAt + gapMs,
    busyAt: worker.busyAt + gapMs,
    healedBusyAt: healedBusyAt === null ? null : healedBusyAt + gapMs,
    growth: shiftGrowth(worker.growth, gapMs),
  };
}

/** Age in milliseconds; it counts from readiness, so that a slow boot does not age a worker. */
export function ageOf(worker: Worker, now: number): number {
  return now - (worker.readyAt ?? worker.bornAt);
}

export function viewOf(worker: Worker): WorkerView {
  const { id, slot, generation, epoch, pid, bornAt, readyAt, memoryBytes, requestLimit } = worker;
  const { floorBytes, ageLimitMs } = worker;
  const { requests, inFlight, longLived, connections, heapUsedBytes } = worker.report;
  return {
    worker: id,
    slot,
    generation,
    state: worker.life.state,
    epoch,
    pid,
    bornAt,
    readyAt,
    responsive: !isSilent(worker),
    requests,
    inFlight,
    longLived,
    connections,
    memoryBytes,
    floorBytes,
    slopeBytesPerRequest: slopeToTell(worker),
    heapUsedBytes,
    eventLoopUtilization: worker.report.eventLoopUtilization,
    ageLimitMs,
    requestLimit,
  };
}

/** Bytes per request, if it surely grows. */
export function slopeToTell({ growth: { slope } }: Worker): number | null {
  return slope === null || slope.low <= 0 ? null : Math.round(slope.middle);
}

/** A ready worker from which no report came for too long. */
export function isSilent(worker: Worker): boolean {
  return worker.life.state === 'ready' && worker.life.silent;
}

// --- internal ---

const NO_REPORT: WorkerReport = {
  requests: 0,
  inFlight: 0,
  longLived: 0,
  connections: 0,
  heapUsedBytes: 0,
  eventLoopUtilization: 0,
};

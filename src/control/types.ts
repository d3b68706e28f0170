/**
 * The language of the control layer: what can happen to a pool (events) and what it wants done
 * about it (effects). All times are milliseconds on one monotonic clock, passed in as `now`.
 */
import type { DrainResult, WorkerReport } from '../protocol.ts';
import type { Told } from './told.ts';

export type { Told } from './told.ts';

/** Why a worker is replaced. A closed set: the same words in log, metric label, JSON and docs. */
export const RECYCLE_REASONS = [
  'max_requests',
  'max_memory',
  'budget',
  'max_age',
  'idle',
  'predicted',
  'request_timeout',
  'unresponsive',
  'crash',
  'boot_failure',
  'reload',
  'scale_down',
  'manual',
] as const;

export type RecycleReason = (typeof RECYCLE_REASONS)[number];

/** Identity of one worker process for its whole life; never reused within a supervisor. */
export type WorkerId = number;

/** Everything that control needs to know of the settings. All numbers are resolved (no `auto`). */
export interface Policy {
  /** Slots at start. */
  readonly workers: number;
  /** Bounds for `scale`. */
  readonly workersMin: number;
  readonly workersMax: number;
  /** Requests after which a worker is replaced; 0 = never. */
  readonly maxRequests: number;
  /** Nobody is given more: who had them all is idle until its replacement is there. */
  readonly exactRequests: boolean;
  /**
   * Share 0..1 by which request and age limits are lowered at random, so that instances do not beat
   * together.
   */
  readonly jitter: number;
  /** Hard memory limit of a worker, bytes; 0 = none. */
  readonly maxMemoryBytes: number;
  /** Soft limit as a share of the hard one, 0..1. */
  readonly memorySoftShare: number;
  /** Age after which a worker is replaced; 0 = never. */
  readonly maxAgeMs: number;
  /** Recycles that may run at once. */
  readonly gate: number;
  /** Extra workers that may live while others are replaced; 0 = break first. */
  readonly surge: number;
  readonly bootTimeoutMs: number;
  readonly drainTimeoutMs: number;
  /** Deadline for upgraded connections and event streams. */
  readonly longDrainTimeoutMs: number;
  /** Between TERM and KILL. */
  readonly killTimeoutMs: number;
  /** A graceful stop is announced so long before the drain begins; 0 = it begins at once. */
  readonly shutdownDelayMs: number;
  /** A ready worker without any report for so long is unresponsive; 0 = never. */
  readonly unresponsiveTimeoutMs: number;
  /** Bytes that supervisor, workers and one surge worker may use together; 0 = no budget. */
  readonly budgetBytes: number;
  /** Above this the heap of a worker is as good as full, bytes; 0 = unknown. */
  readonly roomBytes: number;
  /** A worker younger than this is replaced for its memory only at the hard limit. */
  readonly minAgeMs: number;
  /** Replace workers before they reach a limit that they grow towards. */
  readonly predict: boolean;
  /** Ask idle workers to collect garbage. */
  readonly heal: boolean;
  /** Fewer workers than `workers` if the floor of the first one says that no more fit. */
  readonly fitWorkers: boolean;
  /** Whether the number of workers follows the load, and whether down to none. */
  readonly strategy: 'static' | 'dynamic' | 'ondemand';
  /** Idle workers that `dynamic` keeps beside the busy ones. */
  readonly spare: number;
  /** A worker that was not needed for so long goes. */
  readonly idleTimeoutMs: number;
  /** Requests that a worker serves at once; 0 = as many as come (an event loop). */
  readonly concurrency: number;
}

export type PoolEvent =
  | { readonly type: 'start' }
  /** Time passed: the next deadline of the pool came. */
  | { readonly type: 'tick' }
  | { readonly type: 'spawned'; readonly worker: WorkerId; readonly pid: number }
  /** Listening, and warm if a warm-up was asked for. */
  | { readonly type: 'ready'; readonly worker: WorkerId }
  /**
   * The worker said why it cannot boot; its process may still live. `retryAtOnce`: our fault, no
   * back-off.
   */
  | {
      readonly type: 'boot_failed';
      readonly worker: WorkerId;
      readonly message: string;
      readonly retryAtOnce: boolean;
    }
  /**
   * The process is gone; also sent when it could not be spawned at all (code null, signal null).
   */
  | {
      readonly type: 'exited';
      readonly worker: WorkerId;
      readonly code: number | null;
      readonly signal: string | null;
      /** What a person should read: the cause if known, else the last stderr lines. */
      readonly detail: string;
    }
  /** The process lives, but its channel is closed: it hears nothing and tells nothing any more. */
  | { readonly type: 'disconnected'; readonly worker: WorkerId }
  | {
      readonly type: 'report';
      readonly worker: WorkerId;
      readonly report: WorkerReport;
      /** The longest time since its last report in which its event loop did not turn. */
      readonly lagMs?: number;
    }
  | { readonly type: 'sample'; readonly worker: WorkerId; readonly memoryBytes: number }
  /**
   * What is in use beside the workers: the supervisor, the file pages that all share, the workers
   * of other pools. What those grow by, and whether it is this pool that has to make room for all
   * (house; a pool that is alone always is).
   */
  | {
      readonly type: 'overhead';
      readonly bytes: number;
      readonly growthPerMs?: number;
      readonly mayReclaim?: boolean;
    }
  /** The worker has collected its garbage, and needs so much now. */
  | {
      readonly type: 'healed';
      readonly worker: WorkerId;
      readonly memoryBytes: number;
      readonly tookMs: number;
    }
  /** The kernel reclaims memory in our control group. */
  | { readonly type: 'pressure' }
  | { readonly type: 'drained'; readonly worker: WorkerId; readonly result: DrainResult }
  /** A request ran past its deadline, and nothing but its end would stop the worker. */
  | { readonly type: 'overdue'; readonly worker: WorkerId }
  /** A person or a signal asks for a replacement; `slot: null` = all of them, through the gate. */
  | { readonly type: 'recycle'; readonly slot: number | null; readonly reason: 'manual' }
  /**
   * A new, valid configuration, for its first worker to try. `isJoint`: other pools are reloaded
   * with this one, and whether it rules is said when all of them have tried.
   */
  | { readonly type: 'reload'; readonly policy: Policy; readonly isJoint?: boolean }
  /** Every pool has proved the configuration of this epoch: it rules. */
  | { readonly type: 'commit'; readonly epoch: number }
  /** Another pool did not: nothing changes. */
  | { readonly type: 'roll_back'; readonly epoch: number; readonly detail: string }
  | { readonly type: 'scale'; readonly slots: number }
  /** So many more or fewer than there are when it is heard. */
  | { readonly type: 'scale_by'; readonly slots: number }
  /** Requests that wait for a worker, and for how long the first of them does. */
  | { readonly type: 'demand'; readonly waiting: number; readonly oldestMs: number }
  | { readonly type: 'stop'; readonly mode: 'graceful' | 'now' }
  /** The supervisor itself did not run for a while: no worker may pay for it. */
  | { readonly type: 'suspended'; readonly gapMs: number };

export type Effect =
  | {
      readonly type: 'spawn';
      readonly worker: WorkerId;
      readonly slot: number;
      readonly generation: number;
      /** Which configuration it belongs to: counts reloads from 0. */
      readonly epoch: number;
      readonly requestLimit: number;
    }
  /** Both deadlines are durations from now: the worker has a clock of its own. */
  | {
      readonly type: 'drain';
      readonly worker: WorkerId;
      readonly deadlineMs: number;
      readonly longDeadlineMs: number;
      /** Nobody comes after it: its idle connections stay with it until they end. */
      readonly last: boolean;
    }
  | { readonly type: 'cut'; readonly worker: WorkerId; readonly scope: 'requests' | 'all' }
  | { readonly type: 'signal'; readonly worker: WorkerId; readonly signal: 'SIGTERM' | 'SIGKILL' }
  /** Collect garbage now; answered by the event `healed`. */
  | { readonly type: 'heal'; readonly worker: WorkerId }
  | { readonly type: 'tell'; readonly told: Told }
  /** The pool is empty and will stay so. */
  | { readonly type: 'finished'; readonly outcome: Outcome };

export type Outcome =
  | { readonly type: 'stopped' }
  /**
   * The graceful stop ran out of time: so many requests and long-lived connections were cut, so
   * many workers killed.
   */
  | {
      readonly type: 'stopped_late';
      readonly cutRequests: number;
      readonly cutLongLived: number;
      readonly killed: number;
    }
  /** The first worker ever did not become ready. */
  | { readonly type: 'never_booted'; readonly detail: string };

/** States of a worker's life; `gone` is never seen from outside. */
export type WorkerStateName =
  | 'booting'
  | 'ready'
  | 'draining'
  | 'lingering'
  | 'stopping'
  | 'killing'
  | 'gone';

/**
 * What the outside may see of a worker: for status, metrics, probes. Times are on control's clock.
 */
export interface WorkerView {
  readonly worker: WorkerId;
  readonly slot: number;
  readonly generation: number;
  readonly state: WorkerStateName;
  readonly epoch: number;
  /** Null until the process exists. */
  readonly pid: number | null;
  readonly bornAt: number;
  readonly readyAt: number | null;
  /** False while a ready worker sends no reports. */
  readonly responsive: boolean;
  readonly requests: number;
  readonly inFlight: number;
  readonly longLived: number;
  readonly connections: number;
  readonly memoryBytes: number;
  /** Memory when it became ready; null until it was sampled. */
  readonly floorBytes: number | null;
  /** Growth; null while it cannot be told from noise. */
  readonly slopeBytesPerRequest: number | null;
  readonly heapUsedBytes: number;
  readonly eventLoopUtilization: number;
  /** Age at which this very worker is replaced; 0 = never. */
  readonly ageLimitMs: number;
  /** Requests after which this very worker is replaced; 0 = never. */
  readonly requestLimit: number;
}

/** Counters since the start, and two gauges of this moment. */
export interface PoolTotals {
  /** Finished replacements by reason; crashes and boot failures are counted apart. */
  readonly recycles: Readonly<Record<RecycleReason, number>>;
  readonly crashes: number;
  readonly bootFailures: number;
  readonly recyclesInProgress: number;
  readonly ready: number;
}

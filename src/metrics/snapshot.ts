/** Everything that metrics may tell at one moment: plain numbers, made without waiting. */
import type { RecycleReason, WorkerStateName } from '../control/types.ts';
import type { Counters } from './ledger.ts';

export interface Snapshot {
  readonly version: string;
  readonly node: string;
  /** Unix time, seconds. */
  readonly startedAtSeconds: number;
  readonly budgetBytes: number;
  readonly treeBytes: number;
  readonly supervisorBytes: number;
  readonly reloads: {
    readonly success: number;
    readonly failure: number;
    readonly lastOk: boolean;
  };
  readonly probes: Readonly<Record<'live' | 'ready' | 'started', boolean>>;
  readonly pools: readonly PoolSnapshot[];
}

export interface PoolSnapshot {
  /** `app`, or `health` for the workers that take only health requests. */
  readonly name: string;
  readonly size: number;
  /** Of each worker; 0 = none. */
  readonly limitBytes: number;
  /** Fresh workers are above it already. */
  readonly floorAboveLimit: boolean;
  /** Until the tree reaches its budget as all pools grow now; Infinity = never. */
  readonly budgetInSeconds: number;
  /** Share of time in which the gate is taken by what is due, 0..1 and above. */
  readonly recyclerLoad: number;
  readonly workersByState: Readonly<Partial<Record<WorkerStateName, number>>>;
  /** Decided by control, whatever became of them. */
  readonly recycles: Readonly<Record<RecycleReason, number>>;
  readonly recyclesInProgress: number;
  readonly crashes: number;
  readonly bootFailures: number;
  readonly counters: Counters;
  readonly inFlight: number;
  readonly longLived: number;
  readonly connections: number;
  /** Idle keep-alive connections that went to a sibling. */
  readonly connectionsMoved: number;
  readonly connectionsLost: number;
  /** Workers that were missing while others were replaced, times the seconds they were. */
  readonly capacityLostWorkerSeconds: number;
  /** Share 0..1 of the ready workers' time in which they were busy, smoothed over seconds. */
  readonly saturation: number;
  readonly queue: QueueSnapshot;
  readonly slots: readonly SlotSnapshot[];
}

/**
 * Requests that wait. A node pool has no queue of ours: `depth` is then the number of connections
 * that wait in the kernel to be accepted, and the rest stays 0.
 */
export interface QueueSnapshot {
  readonly depth: number;
  /** One per bound of DURATION_BOUNDS_MS, and one for the rest. */
  readonly waits: readonly number[];
  readonly waitSumMs: number;
  /** In the order of `REJECTIONS`. */
  readonly rejected: readonly number[];
  /** Left the queue because their client had gone. */
  readonly abandoned: number;
  /** Given to a second worker because the first failed before it answered. */
  readonly retried: number;
}

/** One slot, with the worker that serves in it (or, while none does, the newest). */
export interface SlotSnapshot {
  readonly slot: number;
  /** Of all its workers so far. */
  readonly requests: number;
  /** Anonymous memory: what limits look at. */
  readonly privateBytes: number;
  readonly rssBytes: number;
  readonly pssBytes: number;
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
  readonly floorBytes: number;
  readonly slopeBytesPerSecond: number;
  /** 0 while it cannot be told from noise. */
  readonly slopeBytesPerRequest: number;
  /** Infinity when it never comes. */
  readonly limitInSeconds: number;
  readonly eventLoopUtilization: number;
  readonly eventLoopLagMs: number;
}

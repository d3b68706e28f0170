/** What a running instance tells of itself, and how the control socket is asked. Types only. */
import type { RecycleReason } from './types.ts';

export interface WorkerStatus {
  readonly pool: string;
  readonly slot: number;
  readonly generation: number;
  readonly pid: number | null;
  /** As the life-cycle table names it: booting, ready, draining… */
  readonly state: string;
  readonly ageMs: number;
  readonly requests: number;
  readonly inFlight: number;
  readonly longLived: number;
  readonly connections: number;
  readonly memoryBytes: number;
  /** The hard limit; 0 = none. */
  readonly limitBytes: number;
  /** Memory when it became ready; null until it was sampled. */
  readonly floorBytes: number | null;
  /** How it grows; null while that cannot be told from noise. */
  readonly slopeBytesPerRequest: number | null;
  /** Until it reaches its hard limit as it grows now; null = never. */
  readonly timeToLimitMs: number | null;
  readonly heapUsedBytes: number;
  /** Share of the last report's interval in which the event loop was busy, 0..1. */
  readonly eventLoopUtilization: number;
  /** Growth over the last minute. */
  readonly slopeBytesPerSecond: number;
  /** False while a ready worker sends no reports. */
  readonly responsive: boolean;
  /** What it will be replaced for first, as things go now; null: nothing is in sight. */
  readonly next: NextRecycle | null;
}

export interface NextRecycle {
  readonly reason: Extract<RecycleReason, 'max_requests' | 'max_memory' | 'max_age'>;
  readonly inMs: number;
}

export interface Status {
  readonly name: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly state: 'starting' | 'running' | 'reloading' | 'leaving' | 'stopping';
  /** As a person would type it: `http://0.0.0.0:3000`, `unix:/run/app.sock`. */
  readonly listen: readonly string[];
  /** URL of the ops listener; null when it is off. */
  readonly ops: string | null;
  readonly budget: { readonly bytes: number; readonly origin: string };
  /** Memory of supervisor and workers together. */
  readonly treeBytes: number;
  readonly supervisorBytes: number;
  /** Of all pools, those of the first pool first. */
  readonly workers: readonly WorkerStatus[];
  readonly pools: readonly PoolStatus[];
  /** Of all pools together. */
  readonly recycles: Readonly<Record<RecycleReason, number>>;
  readonly crashes: number;
  readonly bootFailures: number;
}

export interface PoolStatus {
  readonly name: string;
  /** What it runs, as the user named it. */
  readonly app: string;
  readonly state: Status['state'];
  readonly listen: readonly string[];
  /** Slots that are wanted now. */
  readonly size: number;
  /** Requests that wait in the gateway; null where there is none. */
  readonly waiting: number | null;
  /** Share of time in which the gate is taken by what is due, 0..1 and above. */
  readonly recyclerLoad: number;
  /** What floors and growth come to, and whether that holds: a sentence; null before a sample. */
  readonly arithmetic: string | null;
  /** What is wrong with the limits of this pool as it runs now; sentences. */
  readonly notes: readonly string[];
  /** Workers that only answer health checks. */
  readonly healthWorkers: readonly WorkerStatus[];
}

/** One JSON line each. `wait: false` answers at once; else the answer comes when all is done. */
export type ControlRequest =
  | { readonly command: 'status' }
  | { readonly command: 'events' }
  | { readonly command: 'reload'; readonly wait: boolean }
  | { readonly command: 'probe'; readonly probe: string }
  | { readonly command: 'scale'; readonly slots: number; readonly pool?: string }
  | {
      readonly command: 'recycle';
      readonly slot: number | null;
      readonly wait: boolean;
      readonly pool?: string;
    };

export type ControlRefusal = {
  readonly ok: false;
  readonly code: string;
  readonly message: string;
  /** How to mend it, where the code's own hint says less. */
  readonly hint?: string;
};

export interface Recycled {
  readonly pool: string;
  readonly slot: number;
  readonly replacedInMs: number;
}

export interface ControlReplies {
  readonly status: { readonly ok: true; readonly status: Status };
  /** Then one JSON line per event, until either side closes. */
  readonly events: { readonly ok: true };
  /** `restart`: settings that changed but that a reload does not apply. */
  readonly reload: {
    readonly ok: true;
    readonly restart?: readonly string[];
    /** Null when nobody waited. */
    readonly reloaded: { readonly workers: number; readonly tookMs: number } | null;
  };
  readonly probe: {
    readonly ok: true;
    readonly green: boolean;
    readonly reasons: readonly { readonly code: string; readonly detail: string }[];
  };
  readonly scale: { readonly ok: true; readonly from: number; readonly to: number };
  readonly recycle: { readonly ok: true; readonly recycled: readonly Recycled[] };
}

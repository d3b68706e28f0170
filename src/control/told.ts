/** What the pool tells of its decisions, with their numbers. */
import type { RecycleReason } from './types.ts';

/**
 * Every decision is told once, with its numbers: as a log line, on the control socket's event
 * stream and on the dashboard. Fields that end in Ms are milliseconds, in Bytes bytes.
 */
export type Told =
  | {
      readonly event: 'worker_ready';
      readonly slot: number;
      readonly generation: number;
      readonly pid: number;
      readonly bootMs: number;
    }
  /**
   * A recycle begins: the replacement boots (or, break first, the old one drains). `generation` is
   * the old worker's, here and in `recycled`.
   */
  | {
      readonly event: 'recycle_started';
      readonly slot: number;
      readonly generation: number;
      readonly reason: RecycleReason;
      readonly breakFirst: boolean;
      readonly requests: number;
      readonly ageMs: number;
      readonly memoryBytes: number;
      /** How it grew; null = it did not, or there are too few samples. */
      readonly slopeBytesPerRequest: number | null;
      readonly limit: string;
    }
  /** The old worker is gone and the new one serves. */
  | {
      readonly event: 'recycled';
      readonly slot: number;
      readonly generation: number;
      readonly reason: RecycleReason;
      readonly requests: number;
      readonly ageMs: number;
      readonly memoryBytes: number;
      readonly slopeBytesPerRequest: number | null;
      readonly limit: string;
      readonly replacedInMs: number;
      readonly drainMs: number;
      readonly moved: number;
      readonly cutRequests: number;
      readonly cutLongLived: number;
      readonly killed: boolean;
    }
  | {
      readonly event: 'recycle_postponed';
      readonly slot: number;
      readonly reason: RecycleReason;
      readonly detail: string;
      readonly retryInMs: number;
    }
  | {
      readonly event: 'worker_crashed';
      readonly slot: number;
      readonly generation: number;
      readonly pid: number;
      readonly code: number | null;
      readonly signal: string | null;
      readonly requests: number;
      readonly inFlight: number;
      readonly ageMs: number;
      readonly detail: string;
      readonly retryInMs: number;
    }
  | {
      readonly event: 'boot_failed';
      readonly slot: number;
      readonly generation: number;
      readonly pid: number;
      readonly detail: string;
      readonly failures: number;
      readonly retryInMs: number;
    }
  | {
      readonly event: 'drain_deadline';
      readonly slot: number;
      readonly inFlight: number;
      readonly longLived: number;
    }
  | {
      readonly event: 'worker_killed';
      readonly slot: number;
      readonly pid: number;
      readonly why: string;
    }
  | {
      readonly event: 'unresponsive';
      readonly slot: number;
      readonly pid: number;
      readonly silentMs: number;
    }
  /** Told once per configuration: fresh workers are above the soft memory limit already. */
  | {
      readonly event: 'floor_above_limit';
      readonly slot: number;
      readonly memoryBytes: number;
      readonly limitBytes: number;
    }
  /** The whole tree uses more than its budget; told again only after it was within it. */
  | {
      readonly event: 'over_budget';
      readonly usedBytes: number;
      readonly budgetBytes: number;
      readonly detail: string;
    }
  | { readonly event: 'within_budget'; readonly usedBytes: number; readonly budgetBytes: number }
  /** An idle worker collected its garbage. */
  | {
      readonly event: 'healed';
      readonly slot: number;
      readonly beforeBytes: number;
      readonly afterBytes: number;
      readonly tookMs: number;
    }
  /** Workers are born, live and are replaced: the arithmetic of their floor, told once. */
  | {
      readonly event: 'floor_measured';
      readonly floorBytes: number;
      readonly workers: number;
      readonly budgetBytes: number;
      /** How the pool fits into its budget, or why it does not. */
      readonly detail: string;
    }
  /** A worker surely leaks: what that comes to, told once per configuration. */
  | {
      readonly event: 'growth_measured';
      readonly slot: number;
      readonly floorBytes: number;
      readonly slopeBytesPerRequest: number;
      readonly detail: string;
    }
  /** Workers are due faster than the gate lets them be replaced. */
  | {
      readonly event: 'recycler_saturated';
      readonly loadPercent: number;
      readonly detail: string;
    }
  | { readonly event: 'suspended'; readonly gapMs: number }
  | {
      readonly event: 'scaled';
      readonly from: number;
      readonly to: number;
      readonly why: 'asked' | 'demand' | 'idle' | 'memory' | 'reload';
    }
  /** More workers are needed than there may be; told again only after they were enough. */
  | {
      readonly event: 'at_capacity';
      readonly workers: number;
      readonly waiting: number;
      readonly detail: string;
    }
  /** The first worker of a reloaded configuration is ready; other pools still try theirs. */
  | { readonly event: 'canary_ready'; readonly epoch: number; readonly slot: number }
  /** The first worker of a reloaded configuration is ready: the others follow. */
  | { readonly event: 'reload_rolling'; readonly epoch: number; readonly slot: number }
  /** Every slot is served by the new configuration. */
  | {
      readonly event: 'reloaded';
      readonly epoch: number;
      readonly workers: number;
      readonly tookMs: number;
    }
  /** The first worker of it did not become ready, here or in another pool: the old one stays. */
  | {
      readonly event: 'reload_rolled_back';
      readonly epoch: number;
      /** Where it was tried; null = nowhere yet. */
      readonly slot: number | null;
      readonly detail: string;
      readonly tookMs: number;
    }
  /** A graceful stop was asked for: everything serves on until `delayMs` have passed. */
  | { readonly event: 'leaving'; readonly delayMs: number }
  | { readonly event: 'stopping'; readonly mode: 'graceful' | 'now'; readonly workers: number }
  | { readonly event: 'all_ready'; readonly workers: number; readonly tookMs: number };

/**
 * Should this worker be replaced, and why. Pure questions about one worker; whose turn it is:
 * rollout.
 */
import type { Policy, RecycleReason } from './types.ts';
import { ageOf, isSilent, type Worker } from './worker.ts';

/** Samples in a row above the soft limit: one is a burst that garbage collection takes back. */
export const SOFT_STRIKES = 3;
/**
 * Where the limit is below what a fresh worker needs, recycling pays only after it has grown by
 * this factor: below that the replacement would be as large, and the pool would recycle for ever.
 */
export const FLOOR_HEADROOM = 1.25;

/** Of its requests: whose replacement has to begin even earlier does little but boot. */
const HEAD_START_MOST = 0.5;

export interface Due {
  readonly reason: RecycleReason;
  /** The lower the sooner. */
  readonly rank: number;
  /** Cannot wait for long-lived connections of another worker. */
  readonly urgent: boolean;
  /** The limit that was reached, for people; empty if there is none. */
  readonly limit: string;
}

/**
 * Why a ready worker is due, the most pressing reason first, or null. The hard memory limit goes
 * before reload and manual: it guards the machine, and a reload loses nothing by waiting one turn.
 * Workers of another configuration than `epoch` are due; null = that does not matter now.
 */
export function dueOf(
  worker: Worker,
  policy: Policy,
  epoch: number | null,
  now: number,
): Due | null {
  const { soft, hard } = memoryLimitsOf(policy, worker.floorBytes);
  if (isSilent(worker)) {
    return due('unresponsive', RANK.silent, `${policy.unresponsiveTimeoutMs / 1000}s`, true);
  }
  if (worker.overdue) return due('request_timeout', RANK.silent, '', true);
  if (worker.floorBytes !== null && worker.memoryBytes >= hard) {
    return due('max_memory', RANK.hard, formatBytes(hard), true);
  }
  if (worker.asked) return due('manual', RANK.deploy, '');
  if (epoch !== null && worker.epoch !== epoch) return reloadDue();
  if (worker.softStrikes >= SOFT_STRIKES) {
    return due('max_memory', RANK.soft, formatBytes(soft));
  }
  if (worker.requestLimit > 0 && worker.report.requests >= worker.requestLimit) {
    return due('max_requests', RANK.requests, `${worker.requestLimit} requests`);
  }
  if (worker.ageLimitMs > 0 && ageOf(worker, now) >= worker.ageLimitMs) {
    return due('max_age', RANK.age, `${Math.round(worker.ageLimitMs / 1000)}s`);
  }
  return null;
}

/** It belongs to another configuration. */
export function reloadDue(): Due {
  return due('reload', RANK.deploy, '');
}

/** It would reach its hard limit before a replacement that begins later could serve. */
export function predictedDue(policy: Policy): Due {
  return due('predicted', RANK.guard, formatBytes(policy.maxMemoryBytes));
}

/** It is what gives most back to a budget that will not hold otherwise; urgent if it is broken. */
export function budgetDue(policy: Policy, urgent: boolean): Due {
  return due('budget', RANK.guard, formatBytes(policy.budgetBytes), urgent);
}

/** Both memory limits of a worker with this floor, bytes; Infinity = none. */
export function memoryLimitsOf(
  policy: Policy,
  floorBytes: number | null,
): { soft: number; hard: number } {
  if (policy.maxMemoryBytes === 0) return { soft: Infinity, hard: Infinity };
  const hard = policy.maxMemoryBytes;
  const soft = hard * policy.memorySoftShare;
  if (floorBytes === null || floorBytes < soft) return { soft, hard };
  return { soft: Infinity, hard: Math.max(hard, floorBytes * FLOOR_HEADROOM) };
}

/** Strikes after one more sample. */
export function countStrikes(worker: Worker, policy: Policy, now: number): number {
  const young = worker.readyAt === null || now - worker.readyAt < policy.minAgeMs;
  const { soft } = memoryLimitsOf(policy, worker.floorBytes);
  return !young && worker.memoryBytes >= soft ? worker.softStrikes + 1 : 0;
}

/**
 * Requests that a worker may be given while its replacement boots and takes over: where nobody gets
 * more than `maxRequests` it is due so much earlier, or its place would be empty meanwhile. `perMs`
 * is the rate of one worker.
 */
export function headStart(
  { exactRequests, maxRequests }: Policy,
  perMs: number,
  leadMs: number,
): number {
  if (!exactRequests) return 0;
  return Math.floor(Math.min(perMs * leadMs, maxRequests * HEAD_START_MOST));
}

/**
 * The limit of one worker: lowered at random by up to `jitter`, never above `max`; the first
 * generation by its share of the pool as well (`stagger` = slot / slots), so that workers that were
 * born together do not leave together. 0 stays 0 = never.
 */
export function limitFor(max: number, jitter: number, stagger: number, random: number): number {
  return max === 0 ? 0 : Math.max(1, Math.ceil(max * stagger * (1 - jitter * random)));
}

// --- internal ---

/** The lower the sooner: crash (by itself) > machine > deploy > memory > requests > age. */
const RANK = { silent: 0, hard: 1, guard: 2, deploy: 3, soft: 4, requests: 5, age: 6 } as const;

const MEBIBYTE = 1024 * 1024;

function due(reason: RecycleReason, rank: number, limit: string, urgent = false): Due {
  return { reason, rank, limit, urgent };
}

function formatBytes(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)}MiB`;
}

/** Settings → what control needs to know of them. */
import { availableParallelism } from 'node:os';
import type { Policy } from '../control/types.ts';
import type { PoolSize } from './budget.ts';
import type { Settings } from './settings.ts';

/** All pools together: the budget holds one surge worker, whichever pool needs it. */
export function poolSizeOf(pools: readonly { readonly settings: Settings }[]): PoolSize {
  const policies = pools.map(({ settings }) => policyOf(settings));
  return {
    workers: policies.reduce((sum, { workers }) => sum + workers, 0),
    surge: Math.max(...policies.map(({ surge }) => surge)),
  };
}

/** `cpus` is what `--workers auto` starts from; a budget or room of 0 bytes is none. */
export function policyOf(
  settings: Settings,
  budgetBytes = 0,
  roomBytes = 0,
  cpus: number = availableParallelism(),
): Policy {
  const workers = settings.workers === 'auto' ? { min: cpus, max: cpus } : settings.workers;
  return {
    workers: workers.min,
    workersMin: workers.min,
    workersMax: workers.max,
    maxRequests: settings.maxRequests,
    jitter: settings.jitter,
    maxMemoryBytes: settings.maxMemoryBytes,
    memorySoftShare: settings.memorySoft,
    maxAgeMs: settings.maxAgeMs,
    gate: settings.gate,
    surge: settings.surge,
    bootTimeoutMs: settings.bootTimeoutMs,
    drainTimeoutMs: settings.drainTimeoutMs,
    longDrainTimeoutMs: settings.longDrainTimeoutMs,
    killTimeoutMs: settings.killTimeoutMs,
    shutdownDelayMs: settings.shutdownDelayMs,
    unresponsiveTimeoutMs: settings.unresponsiveTimeoutMs,
    budgetBytes,
    roomBytes,
    minAgeMs: settings.minAgeMs,
    predict: settings.predict,
    heal: settings.heal,
    fitWorkers: settings.workers === 'auto',
  };
}

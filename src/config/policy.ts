/** Settings → what control needs to know of them. */
import { availableParallelism } from 'node:os';
import type { Policy } from '../control/types.ts';
import type { PoolSize } from './budget.ts';
import type { Settings } from './settings.ts';

/** All pools together: the budget holds one surge worker, whichever pool needs it. */
export function poolSizeOf(pools: readonly { readonly settings: Settings }[]): PoolSize {
  return sizeOf(pools, ({ workers }) => workers);
}

/** The same when every pool that scales is at its largest: what the budget is shared out for. */
export function fullSizeOf(pools: readonly { readonly settings: Settings }[]): PoolSize {
  return sizeOf(pools, ({ strategy, workers, workersMax }) =>
    strategy === 'static' ? workers : workersMax,
  );
}

/** `cpus` is what `--workers auto` starts from; a budget or room of 0 bytes is none. */
export function policyOf(
  settings: Settings,
  budgetBytes = 0,
  roomBytes = 0,
  cpus: number = availableParallelism(),
): Policy {
  return {
    ...sizesOf(settings, cpus),
    strategy: settings.strategy,
    spare: settings.spare,
    idleTimeoutMs: settings.idleTimeoutMs,
    concurrency: 0,
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

// --- internal ---

function sizeOf(
  pools: readonly { readonly settings: Settings }[],
  workersOf: (policy: Policy) => number,
): PoolSize {
  const policies = pools.map(({ settings }) => policyOf(settings));
  return {
    workers: policies.reduce((sum, policy) => sum + workersOf(policy), 0),
    surge: Math.max(...policies.map(({ surge }) => surge)),
  };
}

/** A number alone is, for a pool that scales, the most that there may be. */
function sizesOf(
  { workers, strategy }: Settings,
  cpus: number,
): Pick<Policy, 'workers' | 'workersMin' | 'workersMax'> {
  const { min, max } = workers === 'auto' ? { min: cpus, max: cpus } : workers;
  // One is started, to learn where the app listens; then it sleeps.
  if (strategy === 'ondemand') return { workers: 1, workersMin: 1, workersMax: max };
  const least = strategy === 'dynamic' && min === max ? 1 : min;
  return { workers: least, workersMin: least, workersMax: max };
}

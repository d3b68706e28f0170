/** Settings → what control needs to know of them. */
import { availableParallelism } from 'node:os';
import type { Policy } from '../control/types.ts';
import type { Settings } from './settings.ts';

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

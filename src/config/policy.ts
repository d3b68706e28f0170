/** Settings → what control needs to know of them. */
import { availableParallelism } from 'node:os';
import type { Policy } from '../control/types.ts';
import type { Crew } from './budget.ts';
import { kindNameOf } from './kind.ts';
import type { Settings } from './settings.ts';

/** The processes of each pool as it starts. */
export function crewsOf(pools: readonly Pool[], cwd: string): readonly Crew[] {
  return pools.map(({ settings }) => crewOf(settings, cwd, ({ workers }) => workers));
}

/** The same when every pool that scales is at its largest: what the budget is shared out for. */
export function fullCrewsOf(pools: readonly Pool[], cwd: string): readonly Crew[] {
  return pools.map(({ settings }) =>
    crewOf(settings, cwd, ({ strategy, workers, workersMax }) =>
      strategy === 'static' ? workers : workersMax,
    ),
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
    exactRequests: false,
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

interface Pool {
  readonly settings: Settings;
}

function crewOf(settings: Settings, cwd: string, workersOf: (policy: Policy) => number): Crew {
  const policy = policyOf(settings);
  const { healthPath, healthMode, healthWorkers, dispatch, tlsCert } = settings;
  const kind = kindNameOf(settings, cwd);
  return {
    kind,
    workers: workersOf(policy),
    reserved: healthPath !== null && healthMode === 'reserved' ? healthWorkers : 0,
    surge: policy.surge,
    hasGateway: dispatch === 'gateway' || kind !== 'node' || tlsCert !== null,
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

/**
 * Workers that load the app but are kept for health checks: they share no connection with the
 * public, so a flood of slow requests cannot keep them from answering. Their pool is one like any
 * other, with limits of its own, and it never takes the app's pool along.
 */
import { policyOf } from '../config/policy.ts';
import type { Settings } from '../config/settings.ts';
import type { Outcome, Policy, Told } from '../control/types.ts';
import { announce, labelled } from './announce.ts';
import type { AppAnswer } from './asks.ts';
import type { Launch } from './fleet.ts';
import { createHealth } from './health.ts';
import type { Log } from './log.ts';
import { createPoolRunner, type PoolRunner, type PoolRunnerOptions } from './pool-runner.ts';

export interface HealthPoolOptions extends Pick<
  PoolRunnerOptions,
  'listeners' | 'onPid' | 'oomKilled' | 'sampleNow' | 'onLate' | 'onBadMessage'
> {
  /** Of this pool, for metrics and the log. */
  readonly name: string;
  readonly app: PoolRunner;
  readonly settings: () => Settings;
  /** How workers that only answer health checks are started now. */
  launch(): Launch;
  readonly log: Log;
  /** Asks the app as a whole, where a gateway knows who is free first; null = ask the workers. */
  readonly ask: ((path: string, timeoutMs: number) => Promise<AppAnswer>) | null;
}

export interface Health {
  /** The workers that are kept for it; null while there are none. */
  pool(): PoolRunner | null;
  /** Rejects with a sentence when nobody answered in time. */
  ask(): Promise<AppAnswer>;
  /** Follows the app's pool: starts after it and stops with it. */
  appTold(told: Told): void;
  /** Resolves when none of its workers is left, which it sees to. */
  end(): Promise<void>;
  close(): void;
}

export function startHealth(options: HealthPoolOptions): Health {
  const { app, settings } = options;
  const isReserved = settings().healthPath !== null && settings().healthMode === 'reserved';
  let pool: PoolRunner | null = null;
  let retry: NodeJS.Timeout | undefined;
  let stopping = false;
  let ended = (): void => {};

  const finished = (outcome: Outcome): void => {
    pool?.stop();
    pool = null;
    if (stopping) return ended();
    const detail = outcome.type === 'never_booted' ? outcome.detail : outcome.type;
    options.log.write('error', 'health_pool_failed', { detail, retryInMs: RETRY_MS });
    retry = setTimeout(start, RETRY_MS);
  };
  const start = (): void => {
    pool = createPoolRunner({
      ...options,
      name: options.name,
      policy: healthPolicy(policyOf(settings()), settings()),
      launchOf: () => options.launch(),
      onListening: () => {},
      onListenFailure: () => {},
      told: (told) =>
        announce(told, { log: labelled(options.log, options.name), publish: () => {} }),
      finished,
    });
    pool.loop.enqueue({ type: 'start' });
  };

  const stop = (mode: 'graceful' | 'now'): void => {
    stopping = true;
    clearTimeout(retry);
    pool?.loop.enqueue({ type: 'stop', mode });
  };

  const path = (): string => settings().healthPath ?? '/';
  const askWorkers = createHealth({
    candidates: () => (isReserved ? (pool?.answering() ?? []) : app.answering()).map(idOf),
    ask: (worker, timeoutMs) =>
      (isReserved ? (pool ?? app) : app).fleet.ask(worker, path(), timeoutMs),
    timeoutMs: () => settings().healthTimeoutMs,
  });
  const { ask } = options;
  return {
    pool: () => pool,
    ask: () =>
      ask === null || isReserved ? askWorkers() : ask(path(), settings().healthTimeoutMs),
    appTold(told) {
      if (told.event === 'all_ready' && isReserved) start();
      if (told.event !== 'stopping') return;
      stop(told.mode);
    },
    end() {
      stop('graceful');
      if (pool === null) return Promise.resolve();
      return new Promise((resolve) => (ended = resolve));
    },
    close() {
      clearTimeout(retry);
      pool?.stop();
    },
  };
}

// --- internal ---

/** The app boots elsewhere: what keeps it from booting here will pass, or a person has to look. */
const RETRY_MS = 15_000;

function idOf({ worker }: { readonly worker: number }): number {
  return worker;
}

/** Like the app's, but for the number of workers and what they are replaced for. */
function healthPolicy(app: Policy, settings: Settings): Policy {
  const { healthWorkers, healthMaxRequests, healthMaxAgeMs } = settings;
  return {
    ...app,
    workers: healthWorkers,
    workersMin: healthWorkers,
    workersMax: healthWorkers,
    maxRequests: healthMaxRequests,
    maxAgeMs: healthMaxAgeMs,
    // Its load says nothing, and it must be there while the app's own workers sleep.
    strategy: 'static',
    gate: 1,
    surge: 1,
    // The app's pool has waited already when this one is told.
    shutdownDelayMs: 0,
  };
}

/** Every decision is told once: the same event as a log line and on the control socket. */
import type { Config } from '../config/load.ts';
import { addUp } from '../config/budget.ts';
import { kindNameOf, nameOf } from '../config/kind.ts';
import { crewsOf } from '../config/policy.ts';
import { adviseOn } from '../config/validate.ts';
import type { Told } from '../control/types.ts';
import type { Budget } from '../metrics/budget.ts';
import { meansOf } from './budget.ts';
import type { BadMessage } from './hearing.ts';
import { v8FlagsOf } from './launch.ts';
import { urlOf, type Listening } from './listeners.ts';
import type { Level, Log } from './log.ts';

const LEVELS: Readonly<Partial<Record<Told['event'], Level>>> = {
  recycle_postponed: 'warn',
  worker_crashed: 'error',
  boot_failed: 'error',
  drain_deadline: 'warn',
  worker_killed: 'warn',
  unresponsive: 'warn',
  over_budget: 'warn',
  recycler_saturated: 'warn',
  floor_above_limit: 'warn',
  suspended: 'warn',
  at_capacity: 'warn',
  reload_rolled_back: 'error',
};

/** Tells where a pool listens. */
export function listeningTeller(log: Log): (at: Listening) => void {
  return (at) => log.write('info', 'listening', { url: urlOf(at) });
}

/** Tells of a worker whose app speaks on our channel, by a fault or by intent. */
export function badMessageTeller(log: Log): (problem: BadMessage) => void {
  return (problem) =>
    log.write(problem.ended ? 'error' : 'warn', 'worker_message_invalid', { ...problem });
}

export interface AnnounceTargets {
  readonly log: Log;
  publish(event: Readonly<Record<string, unknown>>): void;
}

export function announce(told: Told, targets: AnnounceTargets): void {
  const { event, ...fields } = told;
  targets.log.write(LEVELS[event] ?? 'info', event, fields);
  targets.publish({ time: new Date().toISOString(), ...told });
}

/** The same events as another pool tells: the field says whose they are. */
export function labelled(log: Log, pool: string): Log {
  return { write: (level, event, fields) => log.write(level, event, { pool, ...fields }) };
}

export function announceStart(
  config: Config,
  budget: Budget,
  { log, version }: { readonly log: Log; readonly version: string },
): void {
  const { settings, pools } = config;
  const { shareBytes } = meansOf(config, budget);
  const crews = crewsOf(pools, process.cwd());
  log.write('info', 'starting', {
    version,
    pid: process.pid,
    app: pools.map((pool) => nameOf(pool.settings)).join(', '),
    workers: addUp(crews).workers,
    budgetBytes: budget.bytes,
    budgetFrom: budget.origin,
    name: settings.name,
    v8Flags: v8FlagsOf(settings, shareBytes).join(' '),
  });
  for (const { settings } of pools) {
    const kind = kindNameOf(settings, process.cwd());
    for (const detail of adviseOn(settings, kind)) log.write('warn', 'advice', { detail });
  }
}

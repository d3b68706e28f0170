/** Every decision is told once: the same event as a log line and on the control socket. */
import type { Told } from '../control/types.ts';
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
};

export interface AnnounceTargets {
  readonly log: Log;
  publish(event: Readonly<Record<string, unknown>>): void;
}

export function announce(told: Told, targets: AnnounceTargets): void {
  const { event, ...fields } = told;
  targets.log.write(LEVELS[event] ?? 'info', event, fields);
  targets.publish({ time: new Date().toISOString(), ...told });
}

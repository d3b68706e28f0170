/** What several pools answer and count together, where only one answer can be given. */
import type { Config } from '../config/load.ts';
import type { AppPool } from './app-pool.ts';
import type { AppAnswer } from './asks.ts';
import type { Reloaded, Waiters } from './waiters.ts';

/**
 * The health check of this path: of each pool that has it, and as bad as the worst of them. Null
 * where no pool has it; rejects, with a sentence, when one does not answer.
 */
export function askHealth(pools: readonly AppPool[], path: string): Promise<AppAnswer> | null {
  const asked = pools.filter((pool) => pool.settings().healthPath === path);
  if (asked.length === 0) return null;
  return Promise.all(asked.map((pool) => pool.askHealth())).then((answers) =>
    answers.reduce((worst, answer) => (answer.status > worst.status ? answer : worst)),
  );
}

/** Requests of all pools by duration: one count per bound of DURATION_BOUNDS_MS, and the rest. */
export function addDurations(pools: readonly AppPool[]): readonly number[] {
  const all = pools.map(({ front }) => front.ledger.counters().durations);
  const [first = []] = all;
  return first.map((_, index) => all.reduce((sum, counts) => sum + (counts[index] ?? 0), 0));
}

/**
 * Waits until every pool serves a configuration that was enqueued in this turn, so that control has
 * not heard of it yet.
 */
export function waitForReload(
  pools: readonly AppPool[],
  waiters: Waiters,
): Promise<readonly Reloaded[]> {
  return Promise.all(
    pools.map(({ name, workers }) => waiters.waitForReload(name, workers.loop.state().reloads + 1)),
  );
}

/** For messages: what a pool runs and, where there are several, which of them it is. */
export function nameAmong(pools: readonly AppPool[], pool: AppPool | undefined): string {
  if (pool === undefined) return '';
  return pools.length === 1 ? pool.appName() : `${pool.appName()} of pool ${pool.name}`;
}

export function longestDrainMs({ pools }: Config): number {
  return Math.max(...pools.map(({ settings }) => settings.drainTimeoutMs));
}

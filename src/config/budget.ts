/** The arithmetic of the memory budget: what a pool needs at the very least. */
import { formatBytes } from './units.ts';

const MIB = 2 ** 20;

/**
 * What one Node worker needs before it does any work. Anonymous memory of a bare worker was
 * measured at 8-14 MiB, with Express at 13-18, and at 20-30 under load: a lower limit could never
 * hold.
 */
export const BARE_WORKER_BYTES = 32 * MIB;

/** Aim for the supervisor's own private memory; counted in every budget. */
export const SUPERVISOR_BYTES = 25 * MIB;

export interface PoolSize {
  readonly workers: number;
  readonly surge: number;
}

/** Below this, the budget is broken before the first request. */
export function leastBudgetBytes({ workers, surge }: PoolSize): number {
  return (workers + surge) * BARE_WORKER_BYTES + SUPERVISOR_BYTES;
}

/** `(2 workers + 1 surge) x 32MiB + 25MiB supervisor = 121MiB`. */
export function explainLeastBudget(pool: PoolSize): string {
  const workers = `${pool.workers} worker${pool.workers === 1 ? '' : 's'}`;
  const each = formatBytes(BARE_WORKER_BYTES);
  const supervisor = `${formatBytes(SUPERVISOR_BYTES)} supervisor`;
  const sum = formatBytes(leastBudgetBytes(pool));
  return `(${workers} + ${pool.surge} surge) x ${each} + ${supervisor} = ${sum}`;
}

/** Bytes that each worker may use when all of them, surge included, are equal; never negative. */
export function workerShareBytes(budgetBytes: number, { workers, surge }: PoolSize): number {
  return Math.max(0, Math.floor((budgetBytes - SUPERVISOR_BYTES) / (workers + surge)));
}

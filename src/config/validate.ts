/** Checks that no row of the table can make alone: settings against each other. */
import { CofferdamError } from '../errors.ts';
import { BARE_WORKER_BYTES, explainLeastBudget, leastBudgetBytes } from './budget.ts';
import type { Settings } from './settings.ts';
import { formatBytes, formatBytesExactly, formatShare } from './units.ts';

/**
 * Throws COF_LIMIT_TOO_LOW when the budget could never hold; `auto` is checked when it is known.
 */
export function validateSettings(settings: Settings): void {
  const { memoryBudgetBytes, workers, surge } = settings;
  if (memoryBudgetBytes === 'auto' || workers === 'auto') return;
  checkBudget(memoryBudgetBytes, { workers: workers.min, surge });
}

/** Throws COF_LIMIT_TOO_LOW, with the arithmetic, for a budget below what the bare pool needs. */
export function checkBudget(
  budgetBytes: number,
  pool: { readonly workers: number; readonly surge: number },
): void {
  if (budgetBytes >= leastBudgetBytes(pool)) return;
  throw new CofferdamError(
    'COF_LIMIT_TOO_LOW',
    `a memory budget of ${formatBytesExactly(budgetBytes)} is below the least that ` +
      `this pool needs: ${explainLeastBudget(pool)}`,
  );
}

/** What is allowed but probably not meant: sentences for `check` and the log. */
export function adviseOn(settings: Settings): readonly string[] {
  const { maxMemoryBytes, memorySoft, gate, surge, drainTimeoutMs, longDrainTimeoutMs } = settings;
  const notes: string[] = [];
  if (surge > 0 && surge < gate) {
    notes.push(`surge ${surge} limits gate ${gate}: only ${surge} can be replaced at once`);
  }
  const softBytes = maxMemoryBytes * memorySoft;
  if (maxMemoryBytes > 0 && softBytes < BARE_WORKER_BYTES) {
    notes.push(
      `the soft limit, ${formatShare(memorySoft)} of max-memory, is ${formatBytes(softBytes)}: ` +
        `below what a bare worker needs under load (${formatBytes(BARE_WORKER_BYTES)})`,
    );
  }
  if (longDrainTimeoutMs < drainTimeoutMs) {
    notes.push('long-drain-timeout is shorter than drain-timeout');
  }
  return notes;
}

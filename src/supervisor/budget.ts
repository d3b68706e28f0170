/** The memory budget of this instance, checked against what its pools need at least. */
import { workerShareBytes } from '../config/budget.ts';
import type { Config } from '../config/load.ts';
import { crewsOf, fullCrewsOf } from '../config/policy.ts';
import { checkBudget } from '../config/validate.ts';
import { resolveBudget, type Budget } from '../metrics/budget.ts';
import type { Means } from './launch.ts';

/** Throws COF_LIMIT_TOO_LOW when not even bare workers fit, whoever set the limit. */
export function budgetOf({ settings, pools }: Pick<Config, 'settings' | 'pools'>): Budget {
  const { memoryBudgetBytes } = settings;
  const flagBytes = memoryBudgetBytes === 'auto' ? null : memoryBudgetBytes;
  const budget = resolveBudget({ flagBytes });
  checkBudget(budget.bytes, crewsOf(pools, process.cwd()));
  return budget;
}

export function meansOf({ pools }: Pick<Config, 'pools'>, { bytes }: Budget): Means {
  const shareBytes = workerShareBytes(bytes, fullCrewsOf(pools, process.cwd()));
  return { budgetBytes: bytes, shareBytes };
}

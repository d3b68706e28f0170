/** The memory budget of this instance, checked against what its pool needs at least. */
import { policyOf } from '../config/policy.ts';
import type { Settings } from '../config/settings.ts';
import { checkBudget } from '../config/validate.ts';
import { resolveBudget, type Budget } from '../metrics/budget.ts';

/** Throws COF_LIMIT_TOO_LOW when not even bare workers fit, whoever set the limit. */
export function budgetOf(settings: Settings): Budget {
  const { memoryBudgetBytes } = settings;
  const flagBytes = memoryBudgetBytes === 'auto' ? null : memoryBudgetBytes;
  const budget = resolveBudget({ flagBytes });
  checkBudget(budget.bytes, policyOf(settings));
  return budget;
}

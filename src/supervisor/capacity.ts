/** How much serving was lost because workers were being replaced, in worker-seconds. */
import { totals, type PoolState } from '../control/pool.ts';

export interface CapacityMeter {
  /** From `now` on the pool is like this. */
  turned(state: PoolState, now: number): void;
  lostWorkerSeconds(): number;
}

export function createCapacityMeter(): CapacityMeter {
  let lostMs = 0;
  let missing = 0;
  let since = 0;
  return {
    turned(state, now) {
      lostMs += missing * (now - since);
      since = now;
      missing = missingIn(state);
    },
    lostWorkerSeconds: () => lostMs / 1000,
  };
}

// --- internal ---

/** Make-before-break keeps this at 0; breaking first, and replacements that do not come, do not. */
function missingIn(state: PoolState): number {
  if (state.phase.type !== 'running') return 0;
  const { ready, recyclesInProgress } = totals(state);
  return recyclesInProgress === 0 ? 0 : Math.max(0, state.size - ready);
}

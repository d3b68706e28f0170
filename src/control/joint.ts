/**
 * One reload of several pools: it rules in all of them or in none. Each pool tries it by a canary
 * of its own; the last one to pass lets all of them roll, the first one to fail takes all back.
 */
import type { PoolState } from './turn.ts';
import type { PoolEvent, Told } from './types.ts';

export interface NamedPool {
  readonly name: string;
  readonly state: PoolState;
}

/** What every pool, those that passed included, has to hear of what one of them told; or null. */
export function jointOrder(
  told: Told,
  teller: string,
  pools: readonly NamedPool[],
): PoolEvent | null {
  if (pools.length < 2) return null;
  if (told.event === 'canary_ready') {
    const { epoch } = told;
    const haveAll = pools.every(({ state: { trial } }) => trial?.epoch === epoch && trial.isProved);
    return haveAll ? { type: 'commit', epoch } : null;
  }
  if (told.event !== 'reload_rolled_back') return null;
  const { epoch, detail } = told;
  // Whoever hears it tells it again, and nobody is on trial any more then.
  const others = pools.some(({ state: { trial } }) => trial?.epoch === epoch);
  return others ? { type: 'roll_back', epoch, detail: `pool ${teller}: ${detail}` } : null;
}

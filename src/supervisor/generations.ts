/** The configurations of a pool by epoch: the one that rules, and the one that is on trial. */
import type { PoolConfig } from '../config/load.ts';
import type { Told } from '../control/types.ts';
import type { Launch } from './fleet.ts';
import type { Means } from './launch.ts';

export interface Generation {
  readonly config: PoolConfig;
  readonly means: Means;
  readonly launch: Launch;
}

export interface Generations {
  /** The newest that was not taken back. */
  current(): Generation;
  /** A reload, in the order in which control hears of them. */
  add(generation: Generation): void;
  launchOf(epoch: number): Launch;
  /** Follows what control made of a reload; true when another one is current by it. */
  told(told: Told, ruling: number): boolean;
}

export function createGenerations(first: Generation): Generations {
  const all = new Map([[0, first]]);
  let last = 0;
  let current = 0;
  const at = (epoch: number): Generation => all.get(epoch) ?? first;
  return {
    current: () => at(current),
    add(generation) {
      last += 1;
      current = last;
      all.set(current, generation);
    },
    launchOf: (epoch) => at(epoch).launch,
    told(told, ruling) {
      if (told.event === 'reload_rolling') {
        for (const older of all.keys()) if (older < told.epoch) all.delete(older);
      }
      // A newer one took its place meanwhile.
      if (told.event !== 'reload_rolled_back' || told.epoch !== current) return false;
      current = ruling;
      return true;
    },
  };
}

/** The configurations by epoch, of a pool or of all: the one that rules, and the one on trial. */
import type { PoolConfig } from '../config/load.ts';
import type { Told } from '../control/types.ts';
import type { Launch } from './fleet.ts';
import type { Means } from './launch.ts';

export interface Generation {
  readonly config: PoolConfig;
  readonly means: Means;
  readonly launch: Launch;
}

export interface Generations<T> {
  /** The newest that was not taken back. */
  current(): T;
  /** A reload, in the order in which control hears of them. */
  add(generation: T): void;
  at(epoch: number): T;
  /** Follows what control made of a reload; true when another one is current by it. */
  told(told: Told, ruling: number): boolean;
}

export function createGenerations<T>(first: T): Generations<T> {
  const all = new Map([[0, first]]);
  let last = 0;
  let current = 0;
  const at = (epoch: number): T => all.get(epoch) ?? first;
  return {
    current: () => at(current),
    add(generation) {
      last += 1;
      current = last;
      all.set(current, generation);
    },
    at,
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

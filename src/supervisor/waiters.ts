/** Callers on the control socket that wait until the recycle they asked for is done. */
import type { Recycled } from '../control/status.ts';
import type { Told } from '../control/types.ts';
import { CofferdamError } from '../errors.ts';

export interface Waiters {
  /** Resolves when every one of these slots has been recycled; rejects when one cannot be now. */
  wait(pool: string, slots: readonly number[]): Promise<readonly Recycled[]>;
  told(told: Told, pool: string): void;
  /** Everything stops: nobody will get an answer any more. */
  abandon(): void;
}

interface Waiter {
  readonly pool: string;
  readonly missing: Set<number>;
  readonly done: Recycled[];
  readonly resolve: (recycled: readonly Recycled[]) => void;
  readonly reject: (error: CofferdamError) => void;
}

export function createWaiters(): Waiters {
  const waiters = new Set<Waiter>();

  const settle = (pool: string, slot: number, act: (waiter: Waiter) => void): void => {
    for (const waiter of waiters) {
      if (waiter.pool === pool && waiter.missing.has(slot)) act(waiter);
    }
  };
  const fail = (waiter: Waiter, message: string): void => {
    waiters.delete(waiter);
    waiter.reject(new CofferdamError('COF_CONTROL_REFUSED', message));
  };

  return {
    wait(pool, slots) {
      if (slots.length === 0) return Promise.resolve([]);
      return new Promise((resolve, reject) => {
        waiters.add({ pool, missing: new Set(slots), done: [], resolve, reject });
      });
    },
    told(told, pool) {
      if (told.event === 'recycled') {
        const { slot, replacedInMs } = told;
        settle(pool, slot, (waiter) => {
          waiter.missing.delete(slot);
          waiter.done.push({ pool, slot, replacedInMs });
          if (waiter.missing.size > 0) return;
          waiters.delete(waiter);
          waiter.resolve(waiter.done);
        });
      }
      if (told.event === 'recycle_postponed') {
        const { slot, detail } = told;
        settle(pool, slot, (waiter) =>
          fail(
            waiter,
            `${slotName(pool, slot)} keeps its worker, the replacement does not boot: ${detail}`,
          ),
        );
      }
    },
    abandon() {
      for (const waiter of waiters) fail(waiter, 'Cofferdam stops');
    },
  };
}

// --- internal ---

/** The only pool of a configuration without tables has a name that nobody gave it. */
function slotName(pool: string, slot: number): string {
  return pool === 'app' ? `slot ${slot}` : `slot ${slot} of ${pool}`;
}

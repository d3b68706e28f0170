/** Callers on the control socket that wait until what they asked for is done. */
import { formatCount } from '../config/units.ts';
import type { Recycled } from '../control/status.ts';
import type { Told } from '../control/types.ts';
import { CofferdamError } from '../errors.ts';

export interface Reloaded {
  readonly workers: number;
  readonly tookMs: number;
}

export interface Waiters {
  /**
   * Resolves when each of these workers (generations by slot) has been recycled; rejects when one
   * cannot be now, or is gone before.
   */
  wait(pool: string, workers: ReadonlyMap<number, number>): Promise<readonly Recycled[]>;
  /**
   * Resolves when the configuration of this epoch (or a later one) is served everywhere in a pool;
   * rejects with COF_RELOAD_ROLLED_BACK, or when a worker after the first does not boot.
   */
  waitForReload(pool: string, epoch: number): Promise<Reloaded>;
  told(told: Told, pool: string): void;
  /** Everything stops: nobody will get an answer any more. */
  abandon(): void;
}

interface Waiter {
  readonly pool: string;
  /** By slot. */
  readonly missing: Map<number, Missing>;
  readonly done: Recycled[];
  readonly resolve: (recycled: readonly Recycled[]) => void;
  readonly reject: (error: CofferdamError) => void;
}

interface Missing {
  readonly generation: number;
  /** A newer one serves: whatever ends the old one now, `recycled` will follow. */
  replaced: boolean;
}

interface ReloadWaiter {
  readonly pool: string;
  readonly epoch: number;
  readonly resolve: (reloaded: Reloaded) => void;
  readonly reject: (error: CofferdamError) => void;
}

export function createWaiters(): Waiters {
  const waiters = new Set<Waiter>();
  const reloads = new Set<ReloadWaiter>();

  const settle = (
    pool: string,
    slot: number,
    act: (waiter: Waiter, missing: Missing) => void,
  ): void => {
    for (const waiter of waiters) {
      const missing = waiter.pool === pool ? waiter.missing.get(slot) : undefined;
      if (missing !== undefined) act(waiter, missing);
    }
  };
  const fail = (waiter: Waiter, message: string): void => {
    waiters.delete(waiter);
    waiter.reject(new CofferdamError('COF_CONTROL_REFUSED', message));
  };

  return {
    wait(pool, workers) {
      if (workers.size === 0) return Promise.resolve([]);
      const missing = new Map<number, Missing>();
      for (const [slot, generation] of workers) missing.set(slot, { generation, replaced: false });
      return new Promise((resolve, reject) => {
        waiters.add({ pool, missing, done: [], resolve, reject });
      });
    },
    waitForReload: (pool, epoch) =>
      new Promise((resolve, reject) => reloads.add({ pool, epoch, resolve, reject })),
    told(told, pool) {
      settleReloads(reloads, told, pool);
      switch (told.event) {
        case 'recycled':
          return settle(pool, told.slot, (waiter) => {
            const { slot, replacedInMs } = told;
            waiter.missing.delete(slot);
            waiter.done.push({ pool, slot, replacedInMs });
            if (waiter.missing.size > 0) return;
            waiters.delete(waiter);
            waiter.resolve(waiter.done);
          });
        case 'worker_ready':
          return settle(pool, told.slot, (_, missing) => {
            missing.replaced ||= told.generation > missing.generation;
          });
        case 'recycle_postponed':
          return settle(pool, told.slot, (waiter) => {
            const name = slotName(pool, told.slot);
            fail(waiter, `${name} keeps its worker, the replacement does not boot: ${told.detail}`);
          });
        case 'worker_crashed':
        case 'boot_failed':
          return settle(pool, told.slot, (waiter, { generation, replaced }) => {
            if (replaced || told.generation !== generation) return;
            const name = slotName(pool, told.slot);
            const what = told.event === 'boot_failed' ? 'did not boot' : 'crashed';
            fail(waiter, `the worker of ${name} ${what} before it was replaced: ${told.detail}`);
          });
        case 'scaled':
          for (const waiter of waiters) {
            const slot = Math.max(...waiter.missing.keys());
            if (waiter.pool !== pool || slot <= told.to) continue;
            const count = formatCount(told.to, 'worker');
            fail(waiter, `${slotName(pool, slot)} is gone: the pool was scaled to ${count}`);
          }
          return;
        default:
      }
    },
    abandon() {
      for (const waiter of waiters) fail(waiter, 'Cofferdam stops');
      for (const { reject } of reloads) {
        reject(new CofferdamError('COF_CONTROL_REFUSED', 'Cofferdam stops'));
      }
      reloads.clear();
    },
  };
}

// --- internal ---

function settleReloads(waiters: Set<ReloadWaiter>, told: Told, pool: string): void {
  const settle = (epoch: number, act: (waiter: ReloadWaiter) => void): void => {
    for (const waiter of waiters) {
      if (waiter.pool !== pool || waiter.epoch > epoch) continue;
      waiters.delete(waiter);
      act(waiter);
    }
  };
  if (told.event === 'reloaded') {
    const { epoch, workers, tookMs } = told;
    settle(epoch, ({ resolve }) => resolve({ workers, tookMs }));
  } else if (told.event === 'reload_rolled_back') {
    const whose = pool === 'app' ? '' : `of pool ${pool} `;
    const message = `the new configuration ${whose}does not serve, the old one goes on: ${told.detail}`;
    const error = new CofferdamError('COF_RELOAD_ROLLED_BACK', message);
    settle(told.epoch, ({ reject }) => reject(error));
  } else if (told.event === 'recycle_postponed' && told.reason === 'reload') {
    const { slot, detail } = told;
    const message = `slot ${slot} keeps its old worker until another try, this one failed: ${detail}`;
    const error = new CofferdamError('COF_CONTROL_REFUSED', message);
    settle(Infinity, ({ reject }) => reject(error));
  }
}

/** The only pool of a configuration without tables has a name that nobody gave it. */
function slotName(pool: string, slot: number): string {
  return pool === 'app' ? `slot ${slot}` : `slot ${slot} of ${pool}`;
}

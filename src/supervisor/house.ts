/**
 * The house: what its pools have to know of each other. One memory budget holds for all of them,
 * and one reload rules in all of them or in none.
 */
import { performance } from 'node:perf_hooks';
import { shareNews, settle, type Share } from '../control/house.ts';
import { jointOrder } from '../control/joint.ts';
import { workersOf, type PoolState } from '../control/pool.ts';
import type { PoolEvent, Told } from '../control/types.ts';
import type { Loop } from './loop.ts';

/** A pool as the house sees it. */
export interface Housed {
  readonly name: string;
  readonly workers: Processes;
  /** The workers, and what stands beside them: gateway, health workers. */
  runners(): readonly Processes[];
  /** Memory of those that are no workers, and what the workers share, bytes. */
  commonBytes(): number;
}

interface Processes {
  readonly loop: Pick<Loop, 'enqueue' | 'state'>;
}

/** What a pool's loop has of the house. */
export interface Door {
  /**
   * What the pool has to hear before its turn; null = it knows. Asked anew for every turn: two
   * pools that turn one after the other must not both fill the room of one surge worker.
   */
  news(): PoolEvent | null;
  /** The pool has turned: another one may have to make room now. */
  turned(): void;
}

export interface House {
  /** A round of samples: so much is in use beside all workers. */
  sampled(bytes: number): void;
  doorOf(name: string): Door;
  /** Whether a reload is one of several pools. */
  isShared(): boolean;
  told(told: Told, teller: string): void;
}

/** `pools` is asked late: the pools are made with their house. */
export function createHouse(pools: () => readonly Housed[]): House {
  let overheadBytes = 0;
  const shares = (): readonly Share[] => {
    const all = pools();
    // Gateways and health workers belong to no pool that could make room with them.
    const others = all.flatMap((pool) => pool.runners().filter((each) => each !== pool.workers));
    const commonBytes = all.reduce((sum, pool) => sum + pool.commonBytes(), overheadBytes);
    const restBytes = others.reduce((sum, runner) => sum + memoryOf(runner), commonBytes);
    return settle(all.map(stateOf), restBytes, performance.now());
  };
  const isShared = (): boolean => pools().length > 1;
  return {
    sampled(bytes) {
      overheadBytes = bytes;
      for (const { workers } of pools()) workers.loop.enqueue({ type: 'tick' });
    },
    doorOf: (name) => ({
      news() {
        const at = pools().findIndex((pool) => pool.name === name);
        const [pool, share] = [pools()[at], shares()[at]];
        return pool === undefined || share === undefined ? null : shareNews(stateOf(pool), share);
      },
      turned() {
        if (!isShared()) return;
        for (const [at, { mayReclaim }] of shares().entries()) {
          const pool = pools()[at];
          if (pool === undefined || stateOf(pool).mayReclaim === mayReclaim) continue;
          pool.workers.loop.enqueue({ type: 'tick' });
        }
      },
    }),
    isShared,
    told(told, teller) {
      const named = pools().map((pool) => ({ name: pool.name, state: stateOf(pool) }));
      const order = jointOrder(told, teller, named);
      if (order === null) return;
      for (const { workers } of pools()) workers.loop.enqueue(order);
    },
  };
}

// --- internal ---

function stateOf({ workers }: Housed): PoolState {
  return workers.loop.state();
}

function memoryOf({ loop }: Processes): number {
  return workersOf(loop.state()).reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
}

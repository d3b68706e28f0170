/** Tells each pool what is in use beside its own workers: one budget holds for all of them. */
import { settle } from '../control/house.ts';
import { workersOf } from '../control/pool.ts';
import type { AppPool } from './app-pool.ts';
import type { PoolRunner } from './pool-runner.ts';

/** `bytes`: the supervisor, and the file pages that all processes share. */
export function tellOverhead(pools: readonly AppPool[], bytes: number, now: number): void {
  // Gateways and health workers belong to no pool that could make room with them.
  const others = pools.flatMap((pool) => pool.runners().filter((each) => each !== pool.workers));
  const restBytes = others.reduce((sum, runner) => sum + memoryOf(runner), bytes);
  const states = pools.map(({ workers }) => workers.loop.state());
  for (const [at, { overheadBytes, ...share }] of settle(states, restBytes, now).entries()) {
    pools[at]?.workers.loop.enqueue({ type: 'overhead', bytes: overheadBytes, ...share });
  }
}

// --- internal ---

function memoryOf({ loop }: PoolRunner): number {
  return workersOf(loop.state()).reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
}

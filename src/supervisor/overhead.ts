/** Tells each pool what is in use beside its own workers: one budget holds for all of them. */
import { workersOf } from '../control/pool.ts';
import type { AppPool } from './app-pool.ts';
import type { PoolRunner } from './pool-runner.ts';

/** `bytes`: the supervisor, and the file pages that all processes share. */
export function tellOverhead(pools: readonly AppPool[], bytes: number): void {
  const runners = pools.flatMap((pool) => pool.runners());
  const allBytes = runners.reduce((sum, runner) => sum + memoryOf(runner), bytes);
  for (const { workers } of pools) {
    workers.loop.enqueue({ type: 'overhead', bytes: allBytes - memoryOf(workers) });
  }
}

// --- internal ---

function memoryOf({ loop }: PoolRunner): number {
  return workersOf(loop.state()).reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
}

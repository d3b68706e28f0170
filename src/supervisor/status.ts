/** What a running Cofferdam tells of itself: one plain record, made from what is known already. */
import { performance } from 'node:perf_hooks';
import type { Config } from '../config/load.ts';
import { timeToLimitMs } from '../control/forecast.ts';
import { notesOn, recyclerLoad } from '../control/load.ts';
import type { WorkerId } from '../control/types.ts';
import { totals, workersOf, type PoolState } from '../control/pool.ts';
import type { Status } from '../control/status.ts';
import type { Budget } from '../metrics/budget.ts';
import type { TreeMemory } from '../metrics/tree.ts';

export interface StatusSources {
  readonly config: Config;
  readonly startedAt: number;
  readonly budget: Budget;
  readonly tree: TreeMemory | null;
  readonly supervisorBytes: number | null;
  readonly urls: readonly string[];
  readonly pool: PoolState;
}

export function statusOf(sources: StatusSources): Status {
  const { config, budget, pool } = sources;
  const now = performance.now();
  const { recycles, crashes, bootFailures } = totals(pool);
  return {
    name: config.settings.name,
    pid: process.pid,
    uptimeMs: Math.round(now - sources.startedAt),
    state: stateOf(pool),
    listen: sources.urls,
    budget: { bytes: budget.bytes, origin: budget.origin },
    treeBytes: sources.tree?.totalBytes ?? 0,
    supervisorBytes: sources.supervisorBytes ?? 0,
    workers: workersOf(pool).map((view) => ({
      slot: view.slot,
      generation: view.generation,
      pid: view.pid,
      state: view.state,
      ageMs: Math.round(now - (view.readyAt ?? view.bornAt)),
      requests: view.requests,
      inFlight: view.inFlight,
      longLived: view.longLived,
      connections: view.connections,
      memoryBytes: view.memoryBytes,
      limitBytes: pool.policy.maxMemoryBytes,
      floorBytes: view.floorBytes,
      slopeBytesPerRequest: view.slopeBytesPerRequest,
      timeToLimitMs: timeToLimit(pool, view.worker, now),
      heapUsedBytes: view.heapUsedBytes,
    })),
    recycles,
    crashes,
    bootFailures,
    recyclerLoad: recyclerLoad(pool),
    notes: notesOn(pool),
  };
}

// --- internal ---

function timeToLimit(pool: PoolState, id: WorkerId, now: number): number | null {
  const worker = pool.workers.get(id);
  const ms = worker === undefined ? Infinity : timeToLimitMs(pool, worker, now);
  return ms === Infinity ? null : Math.round(ms);
}

function stateOf(pool: PoolState): Status['state'] {
  const { type } = pool.phase;
  if (type === 'idle' || type === 'starting') return 'starting';
  if (type !== 'running') return 'stopping';
  const outdated = workersOf(pool).some(({ epoch }) => epoch < pool.epoch);
  return outdated ? 'reloading' : 'running';
}

/** What a running Cofferdam tells of itself: one plain record, made from what is known already. */
import { performance } from 'node:perf_hooks';
import type { Config } from '../config/load.ts';
import { arithmeticOf } from '../control/arithmetic.ts';
import { timeToLimitMs } from '../control/forecast.ts';
import { notesOn, recyclerLoad } from '../control/load.ts';
import { totals, workersOf, type PoolState } from '../control/pool.ts';
import type { NextRecycle, PoolStatus, Status, WorkerStatus } from '../control/status.ts';
import { RECYCLE_REASONS, type PoolTotals, type WorkerView } from '../control/types.ts';
import type { Budget } from '../metrics/budget.ts';
import type { TreeMemory } from '../metrics/tree.ts';
import type { AppPool } from './app-pool.ts';
import { urlOf } from './listeners.ts';
import type { PoolRunner } from './pool-runner.ts';

export interface StatusSources {
  readonly config: Config;
  readonly startedAt: number;
  readonly budget: Budget;
  readonly tree: TreeMemory | null;
  readonly supervisorBytes: number | null;
  readonly pools: readonly AppPool[];
  readonly ops: string | null;
}

export function statusOf(sources: StatusSources): Status {
  const { config, budget, pools } = sources;
  const now = performance.now();
  const sums = pools.map(({ workers }) => totals(workers.loop.state()));
  const add = (read: (sum: PoolTotals) => number): number =>
    sums.reduce((total, sum) => total + read(sum), 0);
  const states = pools.map(stateOf);
  return {
    name: config.settings.name,
    pid: process.pid,
    uptimeMs: Math.round(now - sources.startedAt),
    state: STATES.find((state) => states.includes(state)) ?? 'running',
    listen: pools.flatMap(({ listeners }) => listeners.all().map(urlOf)),
    ops: sources.ops,
    budget: { bytes: budget.bytes, origin: budget.origin },
    treeBytes: sources.tree?.totalBytes ?? 0,
    supervisorBytes: sources.supervisorBytes ?? 0,
    workers: pools.flatMap(({ name, workers }) => workersIn(workers, name, now)),
    pools: pools.map((pool) => poolOf(pool, now)),
    recycles: Object.fromEntries(
      RECYCLE_REASONS.map((reason) => [reason, add(({ recycles }) => recycles[reason])]),
    ) as Status['recycles'],
    crashes: add(({ crashes }) => crashes),
    bootFailures: add(({ bootFailures }) => bootFailures),
  };
}

// --- internal ---

/** Of several pools the one that is least at rest speaks for all. */
const STATES: readonly Status['state'][] = ['stopping', 'leaving', 'starting', 'reloading'];

function stateOf({ workers, front }: AppPool): Status['state'] {
  const { type } = front.loop.state().phase;
  const pool = workers.loop.state();
  if (type === 'leaving') return 'leaving';
  if (type === 'idle' || type === 'starting') return 'starting';
  if (type !== 'running') return 'stopping';
  if (pool.phase.type === 'idle' || pool.phase.type === 'starting') return 'starting';
  const outdated = workersOf(pool).some(({ epoch }) => epoch !== pool.epoch);
  return outdated || pool.trial !== null ? 'reloading' : 'running';
}

function poolOf(pool: AppPool, now: number): PoolStatus {
  const state = pool.workers.loop.state();
  const health = pool.health();
  return {
    name: pool.name,
    app: pool.appName(),
    state: stateOf(pool),
    listen: pool.listeners.all().map(urlOf),
    size: state.size,
    waiting: pool.queue()?.depth ?? null,
    recyclerLoad: recyclerLoad(state),
    arithmetic: arithmeticOf(state),
    notes: notesOn(state),
    healthWorkers: health === null ? [] : workersIn(health, pool.name, now),
  };
}

function workersIn(runner: PoolRunner, name: string, now: number): readonly WorkerStatus[] {
  return workersOf(runner.loop.state()).map((view) => ({
    pool: name,
    ...workerOf(view, runner, now),
  }));
}

function workerOf(
  view: WorkerView,
  { loop, ledger }: PoolRunner,
  now: number,
): Omit<WorkerStatus, 'pool'> {
  const pool = loop.state();
  const book = ledger.bookOf(view.worker);
  const ageMs = Math.round(now - (view.readyAt ?? view.bornAt));
  const slopeBytesPerSecond = Math.round(book?.slopeBytesPerSecond ?? 0);
  const limitBytes = pool.policy.maxMemoryBytes;
  const { slot, generation, pid, state, requests, inFlight, longLived, connections } = view;
  const { memoryBytes, heapUsedBytes, eventLoopUtilization, responsive } = view;
  const { floorBytes, slopeBytesPerRequest } = view;
  return {
    slot,
    generation,
    pid,
    state,
    ageMs,
    requests,
    inFlight,
    longLived,
    connections,
    memoryBytes,
    limitBytes,
    floorBytes,
    slopeBytesPerRequest,
    timeToLimitMs: timeToLimit(pool, view, now),
    heapUsedBytes,
    eventLoopUtilization,
    slopeBytesPerSecond,
    responsive,
    next:
      state === 'ready'
        ? nextOf(view, {
            ageMs,
            slopeBytesPerSecond,
            requestsPerSecond: book?.requestsPerSecond ?? 0,
            softLimitBytes: limitBytes * pool.policy.memorySoftShare,
          })
        : null,
  };
}

function timeToLimit(pool: PoolState, { worker: id }: WorkerView, now: number): number | null {
  const worker = pool.workers.get(id);
  const ms = worker === undefined ? Infinity : timeToLimitMs(pool, worker, now);
  return ms === Infinity ? null : Math.round(ms);
}

interface Trend {
  readonly ageMs: number;
  readonly slopeBytesPerSecond: number;
  readonly requestsPerSecond: number;
  /** 0 = none. */
  readonly softLimitBytes: number;
}

/** The limit that comes first if the worker goes on as it does; the soft one of memory counts. */
function nextOf(view: WorkerView, trend: Trend): NextRecycle | null {
  const { ageMs, slopeBytesPerSecond, requestsPerSecond, softLimitBytes } = trend;
  const candidates: readonly NextRecycle[] = [
    {
      reason: 'max_requests',
      inMs: msUntil(view.requestLimit, view.requests, requestsPerSecond),
    },
    { reason: 'max_memory', inMs: msUntil(softLimitBytes, view.memoryBytes, slopeBytesPerSecond) },
    { reason: 'max_age', inMs: msUntil(view.ageLimitMs, ageMs, 1000) },
  ];
  const [first] = [...candidates].sort((a, b) => a.inMs - b.inMs);
  return first === undefined || first.inMs === Infinity ? null : first;
}

/** Infinity when there is no limit, or when nothing moves towards it. */
function msUntil(limit: number, value: number, perSecond: number): number {
  if (limit === 0 || perSecond <= 0) return Infinity;
  return Math.round((Math.max(0, limit - value) / perSecond) * 1000);
}

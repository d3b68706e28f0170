/** Turns what the pools know into what metrics and probes tell; waits for nobody. */
import { performance } from 'node:perf_hooks';
import { timeToBudgetMs } from '../control/budget.ts';
import { timeToLimitMs } from '../control/forecast.ts';
import { recyclerLoad } from '../control/load.ts';
import { totals, workersOf, type PoolState } from '../control/pool.ts';
import type { WorkerView } from '../control/types.ts';
import { readAcceptQueue } from '../metrics/accept-queue.ts';
import type { Counters } from '../metrics/ledger.ts';
import type { PoolSnapshot, QueueSnapshot, SlotSnapshot, Snapshot } from '../metrics/snapshot.ts';
import { judge, PROBES, type ProbeFacts } from '../probes/probes.ts';
import { DURATION_BOUNDS_MS, REJECTIONS } from '../protocol.ts';
import type { AppPool } from './app-pool.ts';
import { SILENT_MS, type PoolRunner } from './pool-runner.ts';
import type { Sampler } from './sampler.ts';

export interface ObserverSources {
  pools(): readonly [AppPool, ...AppPool[]];
  readonly sampler: Sampler;
  readonly version: string;
  budgetBytes(): number;
}

export interface Observer {
  snapshot(): Snapshot;
  facts(): ProbeFacts;
  reloaded(ok: boolean): void;
  stop(): void;
}

/** Saturation is smoothed by the second. */
const PULSE_MS = 1000;

/** So many boot failures in a row are no accident: the slot's circuit is open. */
const FAILURES_IN_A_ROW = 3;

export function createObserver(sources: ObserverSources): Observer {
  const startedAtSeconds = Date.now() / 1000;
  const reloads = { success: 0, failure: 0, lastOk: true };
  const pulse = setInterval(() => {
    for (const pool of sources.pools()) {
      const { saturationHigh: high, saturationLow: low } = pool.settings();
      for (const runner of pool.runners()) {
        runner.saturation.update(runner.busyShare(), { high, low });
      }
    }
  }, PULSE_MS);
  const facts = (): ProbeFacts => worstFacts(sources.pools().map(factsOf));

  return {
    facts,
    snapshot() {
      const now = facts();
      const { sampler, version } = sources;
      return {
        version,
        node: process.version,
        startedAtSeconds,
        budgetBytes: sources.budgetBytes(),
        treeBytes: sampler.tree()?.totalBytes ?? 0,
        supervisorBytes: sampler.supervisorBytes() ?? 0,
        reloads: { ...reloads },
        probes: Object.fromEntries(
          PROBES.map((probe) => [probe, judge(probe, now).length === 0]),
        ) as Snapshot['probes'],
        pools: sources
          .pools()
          .flatMap((pool) => pool.runners().map((runner) => poolOf(runner, pool, sampler))),
      };
    },
    reloaded(ok) {
      reloads[ok ? 'success' : 'failure'] += 1;
      reloads.lastOk = ok;
    },
    stop: () => clearInterval(pulse),
  };
}

// --- internal ---

function factsOf(pool: AppPool): ProbeFacts {
  const { loop, saturation } = pool.workers;
  const settings = pool.settings();
  const state = loop.state();
  const now = performance.now();
  return {
    // Who leaves first is who takes the requests in.
    phase: phaseOf(pool.front.loop.state(), state),
    loopAgeMs: Math.round(now - loop.turnedAt()),
    startedOnce: state.allReadyTold,
    answering: pool.workers.answering().length,
    readyMin: Math.min(settings.readyMin, expectedOf(state)),
    failingSlots: failingSlotsOf(state),
    saturated: saturation.saturated(),
    saturation: Math.round(saturation.value() * 1000) / 1000,
    stalledMs: stalledMsOf(pool.front, now),
    stallLimitMs: settings.liveStallMs,
  };
}

/** With several pools a probe is green only if it would be for each of them. */
function worstFacts(all: readonly ProbeFacts[]): ProbeFacts {
  const red = PROBES.map((probe) => all.find((facts) => judge(probe, facts).length > 0));
  return red.find((facts) => facts !== undefined) ?? all[0]!;
}

function phaseOf(front: PoolState, workers: PoolState): ProbeFacts['phase'] {
  const { type } = front.phase;
  if (type !== 'running' && type !== 'leaving') {
    return type === 'idle' || type === 'starting' ? 'starting' : 'stopping';
  }
  const booting = workers.phase.type === 'idle' || workers.phase.type === 'starting';
  return booting ? 'starting' : type;
}

/** Workers that should answer. One that wakes on demand is waited for by its clients anyway. */
function expectedOf(state: PoolState): number {
  return state.policy.strategy === 'ondemand' ? totals(state).ready : state.size;
}

/** A slot that its old worker still serves is not lost: a bad reload must not take the service. */
function failingSlotsOf(state: PoolState): number {
  const serving = new Set(
    [...state.workers.values()]
      .filter(({ life }) => life.state === 'ready')
      .map(({ slot }) => slot),
  );
  return [...state.slots.values()].filter(
    ({ number, restarts }) =>
      number <= state.size && !serving.has(number) && restarts.failures.length >= FAILURES_IN_A_ROW,
  ).length;
}

/** How long all workers have been silent, and nothing was answered; 0 when one of them reports. */
function stalledMsOf({ loop, ledger }: PoolRunner, now: number): number {
  const ready = workersOf(loop.state()).filter(({ state }) => state === 'ready');
  const heardAt = ready.map(({ worker }) => ledger.bookOf(worker)?.reportedAt ?? now);
  const silentMs = now - Math.max(-Infinity, ...heardAt);
  if (ready.length === 0 || silentMs < SILENT_MS) return 0;
  return Math.round(Math.min(silentMs, now - ledger.progressAt()));
}

function poolOf(pool: PoolRunner, owner: AppPool, sampler: Sampler): PoolSnapshot {
  const { name, loop, fleet, capacity, saturation } = pool;
  const state = loop.state();
  const views = workersOf(state);
  const sum = (read: (view: WorkerView) => number): number =>
    views.reduce((total, view) => total + read(view), 0);
  const workersByState: Record<string, number> = {};
  for (const view of views) workersByState[view.state] = (workersByState[view.state] ?? 0) + 1;
  const { recycles, recyclesInProgress, crashes, bootFailures } = totals(state);
  const { moved, lost } = fleet.relay.counts();
  return {
    name,
    size: state.size,
    limitBytes: state.policy.maxMemoryBytes,
    floorAboveLimit: state.floorTold,
    budgetInSeconds: timeToBudgetMs(state) / 1000,
    recyclerLoad: recyclerLoad(state),
    workersByState,
    recycles,
    recyclesInProgress,
    crashes,
    bootFailures,
    counters: countersOf(pool, owner),
    inFlight: sum(({ inFlight }) => inFlight),
    longLived: sum(({ longLived }) => longLived),
    connections: sum(({ connections }) => connections),
    connectionsMoved: moved,
    connectionsLost: lost,
    capacityLostWorkerSeconds: capacity.lostWorkerSeconds(),
    saturation: saturation.value(),
    queue: queueOf(pool, owner),
    slots: slotsOf(views, pool, sampler),
  };
}

/** What a gateway took in and answered counts for the pool behind it. */
function countersOf(pool: PoolRunner, owner: AppPool): Counters {
  const { workers, front } = owner;
  const own = pool.ledger.counters();
  if (front === workers || (pool !== workers && pool !== front)) return own;
  const { answers, durations, durationSumMs } = front.ledger.counters();
  if (pool === workers) {
    // What a worker held when it ended is mostly answered by another one: only the gateway knows.
    const dropped = { ...own.dropped, crash: owner.queue()?.lost ?? 0, killed: 0 };
    return { ...own, answers, durations, durationSumMs, dropped };
  }
  const none = (list: readonly number[]): readonly number[] => list.map(() => 0);
  return { ...own, answers: none(answers), durations: none(durations), durationSumMs: 0 };
}

/** Node workers have no queue of ours: their connections wait in the kernel. */
function queueOf(pool: PoolRunner, owner: AppPool): QueueSnapshot {
  const { workers, front, listeners } = owner;
  const waiting = pool === workers ? owner.queue() : null;
  if (waiting !== null) {
    const { depth, waits, waitSumMs, rejected, abandoned, retried } = waiting;
    return { depth, waits, waitSumMs, rejected, abandoned, retried };
  }
  const depth = pool === front ? readAcceptQueue(listeners.addresses()) : 0;
  return { ...NO_QUEUE, depth };
}

const NO_QUEUE: QueueSnapshot = {
  depth: 0,
  waits: [...DURATION_BOUNDS_MS, Infinity].map(() => 0),
  waitSumMs: 0,
  rejected: REJECTIONS.map(() => 0),
  abandoned: 0,
  retried: 0,
};

function slotsOf(
  views: readonly WorkerView[],
  { loop, ledger }: PoolRunner,
  sampler: Sampler,
): SlotSnapshot[] {
  const state = loop.state();
  const shown = new Map<number, WorkerView>();
  // The one that is ready, else the youngest; they are in order of generation.
  for (const view of views) {
    if (shown.get(view.slot)?.state !== 'ready') shown.set(view.slot, view);
  }
  return Array.from({ length: state.size }, (_, index) => {
    const slot = index + 1;
    return slotOf(slot, shown.get(slot) ?? null, ledger, { sampler, state });
  });
}

function slotOf(
  slot: number,
  view: WorkerView | null,
  ledger: PoolRunner['ledger'],
  { sampler, state }: { readonly sampler: Sampler; readonly state: PoolState },
): SlotSnapshot {
  const book = view === null ? null : ledger.bookOf(view.worker);
  const privateBytes = view?.memoryBytes ?? 0;
  const slopeBytesPerSecond = book?.slopeBytesPerSecond ?? 0;
  return {
    slot,
    requests: ledger.requestsOf(slot),
    privateBytes,
    rssBytes: book?.rssBytes ?? 0,
    pssBytes: view?.pid == null ? 0 : sampler.pssBytes(view.pid),
    heapUsedBytes: view?.heapUsedBytes ?? 0,
    externalBytes: book?.externalBytes ?? 0,
    floorBytes: view?.floorBytes ?? 0,
    slopeBytesPerSecond,
    slopeBytesPerRequest: view?.slopeBytesPerRequest ?? 0,
    limitInSeconds: secondsToLimit(view, state),
    eventLoopUtilization: view?.eventLoopUtilization ?? 0,
    eventLoopLagMs: book?.eventLoopLagMs ?? 0,
  };
}

function secondsToLimit(view: WorkerView | null, state: PoolState): number {
  const worker = view === null ? undefined : state.workers.get(view.worker);
  return worker === undefined ? Infinity : timeToLimitMs(state, worker, performance.now()) / 1000;
}

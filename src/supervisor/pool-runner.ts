/** One pool at work: its loop, its processes and its books, under one name. */
import { performance } from 'node:perf_hooks';
import { workersOf, type PoolState } from '../control/pool.ts';
import type { Effect, Outcome, Policy, Told, WorkerId, WorkerView } from '../control/types.ts';
import { createLedger, type Ledger } from '../metrics/ledger.ts';
import { readWorkerMemory, type WorkerMemory } from '../metrics/process-memory.ts';
import { createSaturationGate, type SaturationGate } from '../probes/saturation.ts';
import { createCapacityMeter, type CapacityMeter } from './capacity.ts';
import { createDoorman } from './doorman.ts';
import { createFleet, type Fleet, type FleetOptions, type Launch } from './fleet.ts';
import type { Door } from './house.ts';
import { createLoop, type Loop } from './loop.ts';
import type { Sampled } from './sampler.ts';

export interface PoolRunner {
  readonly name: string;
  readonly loop: Loop;
  readonly fleet: Fleet;
  readonly ledger: Ledger;
  readonly capacity: CapacityMeter;
  readonly saturation: SaturationGate;
  /** Its processes, for the sampler. */
  sampled(): readonly Sampled[];
  /** Ready workers whose last report is fresh, the freshest first. */
  answering(): readonly WorkerView[];
  /** Busy share of its ready workers at this moment; who does not report is busy. */
  busyShare(): number;
  stop(): void;
}

export interface PoolRunnerOptions extends Pick<
  FleetOptions,
  | 'listeners'
  | 'launchOf'
  | 'forks'
  | 'onListening'
  | 'onListenFailure'
  | 'onLate'
  | 'onBadMessage'
  | 'onPid'
  | 'oomKilled'
> {
  readonly name: string;
  readonly policy: Policy;
  /** What counts as the memory of a worker; default: that of its process. */
  readonly readMemory?: (pid: number) => WorkerMemory | null;
  sampleNow(worker: Sampled): void;
  readonly house?: Door;
  readonly told: (told: Told) => void;
  readonly finished: (outcome: Outcome) => void;
}

/** A report comes each second: who missed so many does not answer. */
export const SILENT_MS = 5000;

export function createPoolRunner(options: PoolRunnerOptions): PoolRunner {
  const now = (): number => performance.now();
  const ledger = createLedger();
  const capacity = createCapacityMeter();
  const { readMemory = readWorkerMemory } = options;
  const sampledOf = (worker: WorkerId, pid: number): Sampled => ({
    pid,
    read: () => readMemory(pid),
    took(memory) {
      ledger.sample(worker, memory, now());
      loop.enqueue({ type: 'sample', worker, memoryBytes: memory.anonBytes });
    },
  });
  const fleet = createFleet({
    ...options,
    ledger,
    emit: (event) => loop.enqueue(event),
    onMoment: (worker, pid) => options.sampleNow(sampledOf(worker, pid)),
    onHealed(worker, pid, tookMs) {
      const memoryBytes = readWorkerMemory(pid)?.anonBytes;
      if (memoryBytes !== undefined) loop.enqueue({ type: 'healed', worker, memoryBytes, tookMs });
    },
    launchOf: keepLaunches(options.launchOf, () => epochsOf(loop.state())),
    onRelayed: () => doorman.settled(),
    now,
  });
  const doorman = createDoorman({
    listeners: options.listeners,
    relay: fleet.relay,
    emit: (event) => loop.enqueue(event),
    now,
  });
  const loop = createLoop({
    policy: options.policy,
    perform: (effect) => perform(effect, fleet, ledger, options),
    news: () => options.house?.news() ?? null,
    turned: (state, at) => {
      capacity.turned(state, at);
      doorman.watch(state);
      options.house?.turned();
    },
    now,
    random: () => Math.random(),
  });
  const ready = (): WorkerView[] =>
    workersOf(loop.state()).filter(({ state }) => state === 'ready');
  const silentMs = ({ worker }: WorkerView): number =>
    now() - (ledger.bookOf(worker)?.reportedAt ?? -Infinity);

  return {
    name: options.name,
    loop,
    fleet,
    ledger,
    capacity,
    saturation: createSaturationGate(),
    sampled: () => fleet.pids().map(({ worker, pid }) => sampledOf(worker, pid)),
    answering: () =>
      ready()
        .map((view) => ({ view, silent: silentMs(view) }))
        .filter(({ view, silent }) => view.responsive && silent < SILENT_MS)
        .sort((a, b) => a.silent - b.silent)
        .map(({ view }) => view),
    busyShare() {
      const views = ready();
      const busy = views.map((view) =>
        silentMs(view) < SILENT_MS ? view.eventLoopUtilization : 1,
      );
      return busy.reduce((sum, share) => sum + share, 0) / Math.max(1, busy.length);
    },
    stop() {
      loop.stop();
      fleet.relay.close();
    },
  };
}

// --- internal ---

/**
 * Code and configuration of a generation belong together: a launch is kept while a worker of its
 * epoch may have to be started again.
 */
function keepLaunches(
  launchOf: FleetOptions['launchOf'],
  inUse: () => ReadonlySet<number>,
): FleetOptions['launchOf'] {
  const launches = new Map<number, Launch>();
  return (epoch) => {
    const used = inUse();
    for (const known of launches.keys()) if (!used.has(known)) launches.delete(known);
    const launch = launches.get(epoch) ?? launchOf(epoch);
    launches.set(epoch, launch);
    return launch;
  };
}

function epochsOf({ epoch, trial, slots }: PoolState): ReadonlySet<number> {
  const epochs = new Set([epoch, trial?.epoch ?? epoch]);
  for (const slot of slots.values()) if (slot.everReady) epochs.add(slot.epoch);
  return epochs;
}

function perform(
  effect: Effect,
  fleet: Fleet,
  ledger: Ledger,
  { told, finished }: PoolRunnerOptions,
): void {
  switch (effect.type) {
    case 'spawn':
      return fleet.spawn(effect);
    case 'drain':
      return fleet.drain(effect);
    case 'cut':
      return fleet.cut(effect.worker, effect.scope);
    case 'heal':
      return fleet.heal(effect.worker);
    case 'signal':
      if (effect.signal === 'SIGKILL') ledger.killed(effect.worker);
      return fleet.signal(effect.worker, effect.signal);
    case 'tell':
      ledger.told(effect.told, performance.now());
      return told(effect.told);
    case 'finished':
      return finished(effect.outcome);
  }
}

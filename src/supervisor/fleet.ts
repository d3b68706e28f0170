/**
 * The worker processes of a pool: performs what control wants done to them, and turns what they say
 * into pool events. It decides one thing only: when a worker that boots is ready.
 */
import type { Effect, PoolEvent, WorkerId } from '../control/types.ts';
import type { ListenKey, SupervisorMessage, WorkerMessage } from '../protocol.ts';
import { explainExit } from './explain.ts';
import type { Listener, Listeners } from './listeners.ts';
import { createReadiness, type Readiness } from './readiness.ts';
import { createRelay, type Candidate, type Relay } from './relay.ts';
import {
  spawnWorker,
  type RawHandle,
  type WorkerExit,
  type WorkerProcess,
  type WorkerSpawn,
} from './worker-process.ts';

type SpawnEffect = Extract<Effect, { type: 'spawn' }>;
type DrainEffect = Extract<Effect, { type: 'drain' }>;

/** What a worker of some configuration is started with. */
export interface Launch {
  readonly spawn: Omit<WorkerSpawn, 'brief' | 'listeners' | 'stderr'>;
  readonly brief: Omit<WorkerSpawn['brief'], 'slot' | 'generation' | 'requestLimit'>;
}

export interface FleetOptions {
  readonly listeners: Listeners;
  /** The launch of a configuration epoch. */
  launchOf(epoch: number): Launch;
  emit(event: PoolEvent): void;
  onListening(listener: Omit<Listener, 'fd'>): void;
  /** An app may swallow this error, and then nobody would know. */
  onListenFailure(message: string): void;
  onPid(pid: number, alive: boolean): void;
  /**
   * A worker became ready (its memory at this moment is its floor), or sent a report (so that
   * memory and requests are of one moment).
   */
  onMoment(worker: WorkerId, pid: number): void;
  onHealed(worker: WorkerId, pid: number, tookMs: number): void;
  /** Whether the kernel's OOM killer struck in our cgroup since the last call. */
  oomKilled(): boolean;
  /** Whether the whole pool stops. */
  isStopping(): boolean;
  now(): number;
}

export interface Fleet {
  spawn(effect: SpawnEffect): void;
  drain(effect: DrainEffect): void;
  cut(worker: WorkerId, scope: 'requests' | 'all'): void;
  heal(worker: WorkerId): void;
  signal(worker: WorkerId, signal: 'SIGTERM' | 'SIGKILL'): void;
  /** Every live process. */
  pids(): readonly { readonly worker: WorkerId; readonly pid: number }[];
  readonly relay: Relay;
}

interface Member {
  readonly slot: number;
  readonly process: WorkerProcess;
  readonly readiness: Readiness;
  /** Addresses it listens on. */
  readonly heard: Set<ListenKey>;
  phase: 'booting' | 'ready' | 'draining';
  connections: number;
  reportedAt: number;
  listenFailure: string | null;
}

/** A report comes each second; a worker that missed two is not given other workers' connections. */
const RESPONSIVE_MS = 2500;

export function createFleet(options: FleetOptions): Fleet {
  const members = new Map<WorkerId, Member>();
  const relay = createRelay({
    candidates: (key) => candidatesFor(key, members, options.now()),
    send: (worker, message, handle) => members.get(worker)?.process.send(message, handle),
  });
  const send = (worker: WorkerId, message: SupervisorMessage): void =>
    members.get(worker)?.process.send(message);
  return {
    relay,
    spawn: (effect) => spawnMember(effect, members, relay, options),
    drain(effect) {
      const member = members.get(effect.worker);
      if (member === undefined) return;
      member.phase = 'draining';
      const handover = [...members.values()].some(({ phase }) => phase === 'ready');
      const { deadlineMs, longDeadlineMs } = effect;
      const final = options.isStopping();
      member.process.send({ type: 'drain', deadlineMs, longDeadlineMs, handover, final });
    },
    cut: (worker, scope) => send(worker, { type: 'cut', scope }),
    heal: (worker) => send(worker, { type: 'heal' }),
    signal: (worker, signal) => members.get(worker)?.process.signal(signal),
    pids: () =>
      [...members].flatMap(([worker, member]) => {
        const { pid } = member.process;
        return pid === undefined ? [] : [{ worker, pid }];
      }),
  };
}

// --- internal ---

function spawnMember(
  effect: SpawnEffect,
  members: Map<WorkerId, Member>,
  relay: Relay,
  options: FleetOptions,
): void {
  const { worker, slot, generation, requestLimit } = effect;
  const launch = options.launchOf(effect.epoch);
  const inherited = options.listeners.all();
  const readiness = createReadiness({
    expected: inherited.map(({ key }) => key),
    warmup: launch.brief.warmupPath !== null,
    onReady: () => {
      const member = members.get(worker);
      if (member?.phase !== 'booting') return;
      member.phase = 'ready';
      options.emit({ type: 'ready', worker });
      if (member.process.pid !== undefined) options.onMoment(worker, member.process.pid);
      relay.workerReady();
    },
  });
  const process_ = spawnWorker(
    {
      ...launch.spawn,
      brief: { ...launch.brief, slot, generation, requestLimit },
      listeners: inherited,
      stderr: process.stderr,
    },
    {
      onMessage(message, handle) {
        const member = members.get(worker);
        if (member === undefined) handle?.close();
        else receive({ worker, member, relay, options }, message, handle);
      },
      onDisconnect() {
        const member = members.get(worker);
        if (member === undefined) return;
        // It drains by itself now, and could not be told of connections to adopt.
        member.phase = 'draining';
        options.emit({ type: 'disconnected', worker });
      },
      onExit(exit) {
        const member = members.get(worker);
        if (member === undefined) return;
        members.delete(worker);
        readiness.cancel();
        relay.workerGone(worker);
        if (member.process.pid !== undefined) options.onPid(member.process.pid, false);
        options.emit(exitedEvent(worker, member, exit, options));
      },
    },
  );
  members.set(worker, {
    slot,
    process: process_,
    readiness,
    heard: new Set(),
    phase: 'booting',
    connections: 0,
    reportedAt: options.now(),
    listenFailure: null,
  });
  if (process_.pid === undefined) return;
  options.onPid(process_.pid, true);
  options.emit({ type: 'spawned', worker, pid: process_.pid });
}

interface Receiver {
  readonly worker: WorkerId;
  readonly member: Member;
  readonly relay: Relay;
  readonly options: FleetOptions;
}

function receive(to: Receiver, message: WorkerMessage, handle: RawHandle | undefined): void {
  const { worker, member, relay, options } = to;
  switch (message.type) {
    case 'hello':
      return;
    case 'listening':
      keepListener(message, handle, options);
      member.heard.add(message.key);
      member.readiness.listening(message.key);
      return;
    case 'listen_failed':
      listenFailed(to, message);
      return;
    case 'warm': {
      const failed = member.readiness.warm(message.status);
      if (!failed) return;
      const detail = `the warm-up request failed: ${message.message}`;
      options.emit({ type: 'boot_failed', worker, message: detail, retryAtOnce: false });
      return;
    }
    case 'report':
      member.connections = message.report.connections;
      member.reportedAt = options.now();
      options.emit({ type: 'report', worker, report: message.report });
      if (member.process.pid !== undefined) options.onMoment(worker, member.process.pid);
      return;
    case 'healed':
      if (member.process.pid === undefined) return;
      options.onHealed(worker, member.process.pid, message.tookMs);
      return;
    case 'connection':
      if (handle !== undefined) relay.offer(worker, message.key, handle);
      return;
    case 'adopted':
      relay.adopted(worker, message.id, message.ok);
      return;
    case 'drained':
      options.emit({ type: 'drained', worker, result: message.result });
      return;
  }
}

function keepListener(
  message: Extract<WorkerMessage, { type: 'listening' }>,
  handle: RawHandle | undefined,
  options: FleetOptions,
): void {
  if (message.inherited || handle === undefined) return;
  const { key, address, scheme } = message;
  if (options.listeners.keep({ key, address, scheme }, handle)) {
    options.onListening({ key, address, scheme });
  }
}

function listenFailed(
  to: Receiver,
  message: Extract<WorkerMessage, { type: 'listen_failed' }>,
): void {
  to.member.listenFailure = message.message;
  to.options.onListenFailure(message.message);
  // It was born before we knew of that socket, which a sibling bound meanwhile: our fault, not the
  // app's.
  if (message.code === 'EADDRINUSE' && to.options.listeners.has(message.key)) {
    to.options.emit({
      type: 'boot_failed',
      worker: to.worker,
      message: `${message.message} (bound by a sibling meanwhile)`,
      retryAtOnce: true,
    });
  }
}

function exitedEvent(
  worker: WorkerId,
  member: Member,
  exit: WorkerExit,
  options: FleetOptions,
): PoolEvent {
  const detail = explainExit(exit, {
    listenFailure: member.phase === 'booting' ? member.listenFailure : null,
    oomKilled: exit.signal === 'SIGKILL' && options.oomKilled(),
    wasListening: member.heard.size > 0,
    stderrLines: member.process.stderrTail.lines(),
  });
  return { type: 'exited', worker, code: exit.code, signal: exit.signal, detail };
}

function candidatesFor(
  key: ListenKey,
  members: ReadonlyMap<WorkerId, Member>,
  now: number,
): Candidate[] {
  return [...members].flatMap(([worker, member]) =>
    member.phase === 'ready' && member.heard.has(key)
      ? [
          {
            worker,
            connections: member.connections,
            responsive: now - member.reportedAt < RESPONSIVE_MS,
          },
        ]
      : [],
  );
}

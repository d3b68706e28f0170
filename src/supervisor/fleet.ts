/**
 * The worker processes of a pool: performs what control wants done to them, and turns what they say
 * into pool events. It decides one thing only: when a worker that boots is ready.
 */
import type { Effect, PoolEvent, WorkerId } from '../control/types.ts';
import type { InheritedSocket, ListenKey, SupervisorMessage } from '../protocol.ts';
import { createAsks, type AppAnswer } from './asks.ts';
import { candidatesFor } from './candidates.ts';
import type { ProcessExit } from './child.ts';
import { explainExit } from './explain.ts';
import { receive, type Hearing, type HearingOptions, type Member } from './hearing.ts';
import { createReadiness } from './readiness.ts';
import { createRelay, type Relay } from './relay.ts';
import type { WorkerListener, WorkerProcess } from './worker-process.ts';

type SpawnEffect = Extract<Effect, { type: 'spawn' }>;
type DrainEffect = Extract<Effect, { type: 'drain' }>;

/** How the workers of one configuration are started. */
export interface Launch {
  /** Whether a worker has to answer a request of ours before it is ready. */
  readonly warmup: boolean;
  /** What it has to listen on before it is ready; null = all that its siblings listen on. */
  readonly keys: readonly ListenKey[] | null;
  start(birth: Birth, listener: WorkerListener): WorkerProcess;
}

/** What is told of a worker to whoever starts it. */
export interface Birth {
  readonly worker: WorkerId;
  readonly slot: number;
  readonly generation: number;
  readonly requestLimit: number;
  /** Sockets that it may inherit. */
  readonly listeners: readonly InheritedSocket[];
  /** We accept on them ourselves: it has to send copies, so that we can let go of ours. */
  readonly lend: boolean;
}

export interface FleetOptions extends HearingOptions {
  /** Its workers are programs that may start others. */
  readonly forks?: boolean;
  /** The launch of a configuration epoch. */
  launchOf(epoch: number): Launch;
  onPid(pid: number, alive: boolean): void;
  /** A connection was taken over by a worker, or was lost. */
  onRelayed(): void;
  /** Whether the kernel's OOM killer struck in our cgroup since the last call. */
  oomKilled(): boolean;
}

export interface Fleet {
  spawn(effect: SpawnEffect): void;
  drain(effect: DrainEffect): void;
  cut(worker: WorkerId, scope: 'requests' | 'all'): void;
  heal(worker: WorkerId): void;
  signal(worker: WorkerId, signal: 'SIGTERM' | 'SIGKILL'): void;
  /** Everybody leaves: connections stay where they are, for no sibling will be left. */
  stopHandover(): void;
  /** Every live process. */
  pids(): readonly { readonly worker: WorkerId; readonly pid: number }[];
  readonly relay: Relay;
  /** The app's answer to a GET inside one worker; rejects when it dies or does not answer. */
  ask(worker: WorkerId, path: string, timeoutMs: number): Promise<AppAnswer>;
}

const NO_HANDOVER = {
  type: 'drain',
  deadlineMs: 0,
  longDeadlineMs: 0,
  handover: false,
  final: true,
} as const;

export function createFleet(options: FleetOptions): Fleet {
  const members = new Map<WorkerId, Member>();
  let stopping = false;
  const relay = createRelay({
    candidates: (key) => candidatesFor(key, members, { now: options.now(), stopping }),
    send: (worker, message, handle) => members.get(worker)?.process.send(message, handle),
    settled: () => options.onRelayed(),
  });
  const send = (worker: WorkerId, message: SupervisorMessage): void =>
    members.get(worker)?.process.send(message);
  const asks = createAsks();
  return {
    relay,
    ask: (worker, path, timeoutMs) =>
      asks.ask(worker, timeoutMs, (id) => send(worker, { type: 'ask', id, path, timeoutMs })),
    spawn: (effect) => spawnMember(effect, members, { relay, asks, options }),
    drain(effect) {
      const member = members.get(effect.worker);
      if (member === undefined) return;
      member.phase = 'draining';
      // Where nobody else serves at this moment (break first), connections wait for the next one.
      // Nobody comes after the last one of a pool that falls asleep: they stay until they end.
      const handover = !stopping && !effect.last;
      const { deadlineMs, longDeadlineMs } = effect;
      member.process.send({ type: 'drain', deadlineMs, longDeadlineMs, handover, final: stopping });
    },
    cut: (worker, scope) => send(worker, { type: 'cut', scope }),
    heal: (worker) => send(worker, { type: 'heal' }),
    signal: (worker, signal) => members.get(worker)?.process.signal(signal),
    stopHandover() {
      stopping = true;
      for (const { phase, process } of members.values()) {
        // A second order can only forbid the hand-over; the deadlines are those of the first.
        if (phase === 'draining') process.send(NO_HANDOVER);
      }
    },
    pids: () =>
      [...members].flatMap(([worker, member]) => {
        const { pid } = member.process;
        return pid === undefined ? [] : [{ worker, pid }];
      }),
  };
}

// --- internal ---

/** One that sends many is told of once. */
const badMessages = new WeakSet<Member>();

function spawnMember(
  effect: SpawnEffect,
  members: Map<WorkerId, Member>,
  { relay, asks, options }: Pick<Hearing, 'relay' | 'asks'> & { readonly options: FleetOptions },
): void {
  const { worker, slot, generation, requestLimit } = effect;
  const launch = options.launchOf(effect.epoch);
  const readiness = createReadiness({
    expected: launch.keys ?? options.listeners.all().map(({ key }) => key),
    warmup: launch.warmup,
    onReady: () => {
      const member = members.get(worker);
      if (member?.phase !== 'booting') return;
      member.phase = 'ready';
      // A boot may block for long: it is no silence.
      options.ledger.heard(worker, options.now());
      options.emit({ type: 'ready', worker });
      if (member.process.pid !== undefined) options.onMoment(worker, member.process.pid);
      relay.workerReady();
    },
  });
  const share: Hearing['share'] = (key, handle) => {
    for (const [sibling, { process }] of members) {
      if (sibling !== worker) process.send({ type: 'listener', key }, handle);
    }
  };
  const process_ = launch.start(
    {
      worker,
      slot,
      generation,
      requestLimit,
      listeners: options.listeners.inherited(),
      lend: options.listeners.needsCopies(),
    },
    {
      // Nobody has to guard it: it is in the process group of who started it.
      onPid: (pid) => options.emit({ type: 'spawned', worker, pid }),
      onMessage(message, handle) {
        const member = members.get(worker);
        if (member === undefined) handle?.close();
        else receive({ worker, member, relay, asks, options, share }, message, handle);
      },
      onBadMessage({ detail, ended }) {
        const member = members.get(worker);
        if (member === undefined || (badMessages.has(member) && !ended)) return;
        badMessages.add(member);
        options.onBadMessage({ slot, pid: member.process.pid, detail, ended });
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
        asks.workerGone(worker);
        options.ledger.gone(worker);
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
  options.ledger.heard(worker, options.now());
  if (process_.pid === undefined) return;
  options.onPid(process_.pid, true);
  options.emit({ type: 'spawned', worker, pid: process_.pid });
}

function exitedEvent(
  worker: WorkerId,
  member: Member,
  exit: ProcessExit,
  options: FleetOptions,
): PoolEvent {
  const detail = explainExit(exit, {
    listenFailure: member.phase === 'booting' ? member.listenFailure : null,
    oomKilled: exit.signal === 'SIGKILL' && options.oomKilled(),
    wasListening: member.heard.size > 0,
    isProgram: options.forks === true,
    stderrLines: member.process.stderrTail.lines(),
  });
  return { type: 'exited', worker, code: exit.code, signal: exit.signal, detail };
}

/**
 * A small player for the tests of control: feeds events, keeps the clock, collects what comes out.
 */
import type { WorkerReport } from '../../src/protocol.ts';
import { createPool, nextDeadline, step, type PoolState } from '../../src/control/pool.ts';
import type { Effect, Outcome, Policy, PoolEvent, Told } from '../../src/control/types.ts';

export const NO_REPORT: WorkerReport = {
  requests: 0,
  inFlight: 0,
  longLived: 0,
  connections: 0,
  heapUsedBytes: 0,
  eventLoopUtilization: 0,
};

export const POLICY: Policy = {
  workers: 2,
  workersMin: 1,
  workersMax: 8,
  maxRequests: 0,
  exactRequests: false,
  jitter: 0,
  maxMemoryBytes: 0,
  memorySoftShare: 0.8,
  maxAgeMs: 0,
  gate: 1,
  surge: 1,
  bootTimeoutMs: 30_000,
  drainTimeoutMs: 30_000,
  longDrainTimeoutMs: 300_000,
  killTimeoutMs: 5000,
  shutdownDelayMs: 0,
  unresponsiveTimeoutMs: 60_000,
  budgetBytes: 0,
  roomBytes: 0,
  minAgeMs: 10_000,
  predict: false,
  heal: false,
  fitWorkers: false,
  strategy: 'static',
  spare: 1,
  idleTimeoutMs: 10_000,
  concurrency: 0,
};

export interface Player {
  now: number;
  state: PoolState;
  /** Effects of the last call, as short words: `spawn 3`, `drain 1`, `TERM 1`, `cut 1 all`. */
  readonly did: () => string[];
  /** The same in full. */
  readonly effects: () => readonly Effect[];
  readonly told: <E extends Told['event']>(event: E) => Extract<Told, { event: E }>[];
  readonly outcome: () => Outcome | null;
  readonly send: (event: PoolEvent) => string[];
  readonly ready: (worker: number) => string[];
  readonly exit: (worker: number, code?: number | null) => string[];
  readonly report: (worker: number, report: Partial<WorkerReport>) => string[];
  readonly sample: (worker: number, memoryBytes: number) => string[];
  readonly drained: (worker: number) => string[];
  /** Lets time pass, with a tick at each deadline, as the supervisor does. */
  readonly wait: (ms: number) => string[];
}

export function startPlayer(change: Partial<Policy> = {}, random = (): number => 0.5): Player {
  let effects: Effect[] = [];
  const all: Effect[] = [];
  function feed(event: PoolEvent): void {
    const result = step(player.state, event, player.now, random);
    player.state = result.state;
    effects.push(...result.effects);
    all.push(...result.effects);
  }
  function send(event: PoolEvent): string[] {
    effects = [];
    feed(event);
    return player.did();
  }
  const player: Player = {
    now: 0,
    state: createPool({ ...POLICY, ...change }),
    did: () => effects.flatMap(wordOf),
    effects: () => effects,
    told: <E extends Told['event']>(event: E) =>
      all.flatMap((effect) => {
        const told = effect.type === 'tell' && effect.told.event === event ? effect.told : null;
        return told === null ? [] : [told as Extract<Told, { event: E }>];
      }),
    outcome: () => all.find((effect) => effect.type === 'finished')?.outcome ?? null,
    send,
    ready: (worker) => send({ type: 'ready', worker }),
    exit: (worker, code = 0) =>
      send({ type: 'exited', worker, code, signal: null, detail: 'last words' }),
    report: (worker, report) =>
      send({ type: 'report', worker, report: { ...NO_REPORT, ...report } }),
    sample: (worker, memoryBytes) => send({ type: 'sample', worker, memoryBytes }),
    drained: (worker) => {
      const result = { moved: 0, cutRequests: 0, cutLongLived: 0 };
      return send({ type: 'drained', worker, result });
    },
    wait(ms) {
      effects = [];
      const until = player.now + ms;
      for (;;) {
        const deadline = nextDeadline(player.state);
        if (deadline === null || deadline > until) break;
        player.now = deadline;
        feed({ type: 'tick' });
      }
      player.now = until;
      return player.did();
    },
  };
  send({ type: 'start' });
  return player;
}

/** A pool whose workers 1..n are ready. */
export function startReady(change: Partial<Policy> = {}, random?: () => number): Player {
  const player = startPlayer(change, random);
  const { workers } = player.state.policy;
  for (let worker = 1; worker <= workers; worker += 1) player.ready(worker);
  return player;
}

// --- internal ---

function wordOf(effect: Effect): string[] {
  switch (effect.type) {
    case 'signal':
      return [`${effect.signal.slice(3)} ${effect.worker}`];
    case 'cut':
      return [`cut ${effect.worker} ${effect.scope}`];
    case 'spawn':
    case 'drain':
      return [`${effect.type} ${effect.worker}`];
    case 'finished':
      return [effect.outcome.type];
    default:
      return [];
  }
}

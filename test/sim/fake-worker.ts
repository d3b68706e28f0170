/**
 * A worker process that does not exist: boots, serves, leaks, hangs, drains and dies on a fake
 * clock.
 */
import type { DrainResult, WorkerReport } from '../../src/protocol.ts';
import type { WorkerId } from '../../src/control/types.ts';
import type { Dice } from './dice.ts';
import type { Nature } from './scenario.ts';

export interface FakeWorker {
  readonly id: WorkerId;
  readonly slot: number;
  readonly requestLimit: number;
  readonly boot: 'ok' | 'spawn_fails' | 'throws' | 'throws_and_stays' | 'exits' | 'hangs' | 'retry';
  readonly bootMs: number;
  /** After being ready for so long; Infinity = never. */
  readonly crashAfterMs: number;
  readonly blocksAfterMs: number;
  readonly blockedForMs: number;
  /** From its readiness; Infinity = never. */
  readonly idleAfterMs: number;
  /** From its birth; Infinity = never. */
  readonly disconnectsAfterMs: number;
  readonly ignoresTerm: boolean;
  readonly drainStyle: 'polite' | 'never' | 'exits' | 'crashes';
  /** How long its requests and long-lived connections last after the drain began. */
  readonly requestsLastMs: number;
  readonly longLastMs: number;
  readonly requestsPerSecond: number;
  readonly floorBytes: number;
  readonly slopeBytes: number;
  readyAt: number | null;
  /** Its channel is closed: it hears nothing and tells nothing. */
  deaf: boolean;
  /** It collected its garbage. */
  healed: boolean;
  drainAt: number | null;
  requestsEndAt: number;
  longEndAt: number;
  cutRequests: number;
  cutLongLived: number;
  /** Only the newest plan to say `drained` counts. */
  drainPlan: number;
  gone: boolean;
}

export function createFakeWorker(
  birth: { id: WorkerId; slot: number; requestLimit: number },
  nature: Nature,
  dice: Dice,
): FakeWorker {
  const looping = dice.chance(nature.crashLoops);
  const never = Infinity;
  return {
    ...birth,
    boot: drawBoot(nature, dice),
    bootMs: dice.between(nature.bootMs / 10, nature.bootMs),
    crashAfterMs: looping
      ? dice.between(0, 3000)
      : dice.chance(nature.crashes)
        ? dice.between(0, 60_000)
        : never,
    blocksAfterMs: dice.chance(nature.blocks) ? dice.between(0, 20_000) : never,
    blockedForMs: dice.chance(0.5) ? never : dice.between(1000, 20_000),
    idleAfterMs: dice.chance(nature.idles) ? dice.between(1000, 20_000) : never,
    disconnectsAfterMs: dice.chance(nature.disconnects) ? dice.between(0, 30_000) : never,
    ignoresTerm: dice.chance(nature.ignoresTerm),
    drainStyle: dice.chance(nature.neverDrains)
      ? 'never'
      : dice.chance(nature.exitsInDrain)
        ? 'exits'
        : dice.chance(nature.crashesInDrain)
          ? 'crashes'
          : 'polite',
    requestsLastMs: dice.chance(nature.slowRequests)
      ? dice.between(0, 30_000)
      : dice.between(0, 200),
    longLastMs: dice.chance(nature.longLived) ? dice.between(0, 60_000) : 0,
    requestsPerSecond: nature.requestsPerSecond,
    floorBytes: nature.floorBytes,
    slopeBytes: nature.slopeBytes,
    readyAt: null,
    deaf: false,
    healed: false,
    drainAt: null,
    requestsEndAt: never,
    longEndAt: never,
    cutRequests: 0,
    cutLongLived: 0,
    drainPlan: 0,
    gone: false,
  };
}

export function isBlocked(worker: FakeWorker, now: number): boolean {
  if (worker.readyAt === null) return false;
  const since = worker.readyAt + worker.blocksAfterMs;
  return now >= since && now < since + worker.blockedForMs;
}

export function requestsOf(worker: FakeWorker, now: number): number {
  if (worker.readyAt === null) return 0;
  const servesMs = Math.min(worker.blocksAfterMs, worker.idleAfterMs);
  const until = Math.min(now, worker.drainAt ?? now, worker.readyAt + servesMs);
  return Math.max(0, Math.floor(((until - worker.readyAt) / 1000) * worker.requestsPerSecond));
}

export function memoryOf(worker: FakeWorker, now: number, dice: Dice): number {
  const share = worker.healed ? KEPT_SHARE : 1;
  const leaked = requestsOf(worker, now) * worker.slopeBytes * share;
  return Math.round(worker.floorBytes * dice.between(0.95, 1.1) + leaked);
}

export function reportOf(worker: FakeWorker, now: number): WorkerReport {
  const draining = worker.drainAt !== null;
  const longLived = worker.longLastMs > 0 && now < worker.longEndAt ? 2 : 0;
  const short = draining
    ? Number(now < worker.requestsEndAt)
    : Number(worker.requestsPerSecond > 0 && !isIdle(worker, now));
  return {
    requests: requestsOf(worker, now),
    inFlight: longLived + short,
    longLived,
    connections: 3,
    heapUsedBytes: 1,
    eventLoopUtilization: 0.5,
  };
}

export function drainResultOf(worker: FakeWorker): DrainResult {
  const { cutRequests, cutLongLived } = worker;
  return { moved: 1, cutRequests, cutLongLived };
}

// --- internal ---

/** Of what a burst takes, so much is still in use after a collection. */
const KEPT_SHARE = 0.2;

function isIdle({ readyAt, idleAfterMs }: FakeWorker, now: number): boolean {
  return readyAt !== null && now >= readyAt + idleAfterMs;
}

function drawBoot(nature: Nature, dice: Dice): FakeWorker['boot'] {
  if (dice.chance(nature.spawnFails)) return 'spawn_fails';
  if (dice.chance(nature.bootThrows)) return dice.chance(0.5) ? 'throws' : 'throws_and_stays';
  if (dice.chance(nature.bootExits)) return 'exits';
  if (dice.chance(nature.bootHangs)) return 'hangs';
  return dice.chance(nature.bootNeedsRetry) ? 'retry' : 'ok';
}

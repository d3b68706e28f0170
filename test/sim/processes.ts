/** What control's effects do to fake processes, and what those say in return. */
import type { Effect, PoolEvent, WorkerId } from '../../src/control/types.ts';
import {
  createFakeWorker,
  drainResultOf,
  isBlocked,
  memoryOf,
  reportOf,
  type FakeWorker,
} from './fake-worker.ts';
import { feed, type Game } from './game.ts';
import { HEALTHY, MEBIBYTE } from './scenario.ts';

export function perform(game: Game, effect: Effect): void {
  switch (effect.type) {
    case 'spawn':
      return spawn(game, effect);
    case 'drain':
      return drain(game, find(game, effect.worker));
    case 'cut':
      return cut(game, find(game, effect.worker), effect.scope);
    case 'signal':
      return signal(game, find(game, effect.worker), effect.signal);
    case 'heal':
      return heal(game, find(game, effect.worker));
    case 'finished':
      game.outcome = effect.outcome.type;
      return;
    case 'tell':
      if (effect.told.event === 'canary_ready') hearOthers(game, effect.told.epoch);
  }
}

// --- internal ---

/** Other pools boot no longer. */
const OTHERS_MOST_MS = 10_000;

/** A killed process is gone within this time; see REAP_MS of the referee. */
const REAP_MOST_MS = 20;

function find(game: Game, id: WorkerId): FakeWorker {
  const worker = game.workers.get(id);
  if (worker === undefined) throw new Error(`worker ${id} was never spawned`);
  return worker;
}

/** Later, if it still lives then. */
function later(game: Game, worker: FakeWorker, delayMs: number, run: () => void): void {
  if (delayMs === Infinity) return;
  game.queue.add(game.now + delayMs, () => {
    if (!worker.gone) run();
  });
}

function exit(
  game: Game,
  worker: FakeWorker,
  delayMs: number,
  how: { code: number | null; signal: string | null },
): void {
  later(game, worker, delayMs, () => {
    worker.gone = true;
    feed(game, { type: 'exited', worker: worker.id, ...how, detail: 'last words' });
  });
}

function spawn(game: Game, effect: Extract<Effect, { type: 'spawn' }>): void {
  const { dice, now } = game;
  const { worker: id, slot, requestLimit } = effect;
  const isBad = game.scenario.badEpochs?.has(effect.epoch) === true;
  const own = id === 1 && dice.chance(game.scenario.luckyFirst) ? HEALTHY : game.nature;
  const nature = isBad ? { ...own, bootThrows: 1 } : own;
  const worker = createFakeWorker({ id, slot, requestLimit }, nature, dice);
  game.workers.set(id, worker);
  if (worker.boot === 'spawn_fails') return exit(game, worker, 0, { code: null, signal: null });
  game.queue.add(now, () => feed(game, { type: 'spawned', worker: id, pid: 1000 + id }));
  if (worker.boot === 'exits') return exit(game, worker, worker.bootMs, { code: 1, signal: null });
  later(game, worker, worker.bootMs, () => boot(game, worker));
  later(game, worker, worker.disconnectsAfterMs, () => disconnect(game, worker));
  later(game, worker, game.scenario.sampleMs, () => sample(game, worker));
}

/** Sooner or later the pools that were reloaded with this one have passed, or one of them failed. */
function hearOthers(game: Game, epoch: number): void {
  const { dice } = game;
  if (game.scenario.isHoused === true) return;
  const event: PoolEvent = dice.chance(0.6)
    ? { type: 'commit', epoch }
    : { type: 'roll_back', epoch, detail: 'another pool' };
  game.queue.add(game.now + dice.between(0, OTHERS_MOST_MS), () => {
    if (!game.referee.book.ended) feed(game, event);
  });
}

/** It takes the closed channel for our death, finishes what it has, and leaves. */
function disconnect(game: Game, worker: FakeWorker): void {
  const { id, readyAt } = worker;
  if (isBlocked(worker, game.now)) return;
  worker.deaf = true;
  if (readyAt !== null && worker.drainAt === null) beginDrain(game, worker);
  feed(game, { type: 'disconnected', worker: id });
  const leaves = worker.drainStyle !== 'never';
  const end = Math.max(worker.requestsEndAt, worker.longEndAt);
  if (leaves) exit(game, worker, Math.max(0, end - game.now), { code: 0, signal: null });
}

function boot(game: Game, worker: FakeWorker): void {
  const { id } = worker;
  if (worker.deaf) return;
  if (worker.boot === 'hangs') return;
  if (worker.boot === 'ok') {
    worker.readyAt = game.now;
    later(game, worker, 0, () => report(game, worker));
    exit(game, worker, worker.crashAfterMs, { code: game.dice.pick([0, 1]), signal: null });
    return feed(game, { type: 'ready', worker: id });
  }
  const retryAtOnce = worker.boot === 'retry';
  feed(game, { type: 'boot_failed', worker: id, message: 'no luck', retryAtOnce });
  if (worker.boot === 'throws') exit(game, worker, 30, { code: 1, signal: null });
}

function report(game: Game, worker: FakeWorker): void {
  const { now, scenario } = game;
  later(game, worker, scenario.reportMs, () => report(game, worker));
  if (isBlocked(worker, now) || worker.deaf) return;
  feed(game, { type: 'report', worker: worker.id, report: reportOf(worker, now) });
  // Memory is read again with each report, so that both numbers are of one moment.
  if (!worker.gone) feedSample(game, worker);
}

/** Memory is read from outside, so a blocked worker is sampled as well. */
function sample(game: Game, worker: FakeWorker): void {
  const { dice, scenario } = game;
  later(game, worker, scenario.sampleMs, () => sample(game, worker));
  if (scenario.isHoused !== true && dice.chance(0.5)) {
    feed(game, { type: 'overhead', bytes: dice.between(30, 50) * MEBIBYTE });
  }
  if (!worker.gone) feedSample(game, worker);
  // A request of it ran past its deadline; whoever does not serve is not meant.
  if (dice.chance(game.nature.overruns)) feed(game, { type: 'overdue', worker: worker.id });
}

function feedSample(game: Game, worker: FakeWorker): void {
  const memoryBytes = memoryOf(worker, game.now, game.dice);
  feed(game, { type: 'sample', worker: worker.id, memoryBytes });
}

/** What it leaked stays; some never answer. */
function heal(game: Game, worker: FakeWorker): void {
  const { dice } = game;
  if (worker.deaf || isBlocked(worker, game.now) || dice.chance(0.1)) return;
  const tookMs = dice.whole(30, 1000);
  later(game, worker, tookMs, () => {
    worker.healed = true;
    const memoryBytes = memoryOf(worker, game.now, dice);
    feed(game, { type: 'healed', worker: worker.id, memoryBytes, tookMs });
  });
}

function drain(game: Game, worker: FakeWorker): void {
  const { now, dice } = game;
  if (worker.deaf) return;
  beginDrain(game, worker);
  if (isBlocked(worker, now)) return;
  if (worker.drainStyle === 'exits') {
    return exit(game, worker, dice.between(0, 2000), { code: 0, signal: null });
  }
  if (worker.drainStyle === 'crashes') {
    exit(game, worker, dice.between(0, 5000), { code: null, signal: 'SIGSEGV' });
  }
  planDrained(game, worker);
}

function beginDrain({ now }: Game, worker: FakeWorker): void {
  worker.drainAt = now;
  worker.requestsEndAt = now + worker.requestsLastMs;
  worker.longEndAt = now + worker.longLastMs;
}

function planDrained(game: Game, worker: FakeWorker): void {
  worker.drainPlan += 1;
  if (worker.drainStyle === 'never') return;
  const plan = worker.drainPlan;
  const end = Math.max(worker.requestsEndAt, worker.longEndAt);
  later(game, worker, Math.max(0, end - game.now) + game.dice.between(0, 40), () => {
    if (plan !== worker.drainPlan || isBlocked(worker, game.now) || worker.deaf) return;
    feed(game, { type: 'drained', worker: worker.id, result: drainResultOf(worker) });
  });
}

function cut(game: Game, worker: FakeWorker, scope: 'requests' | 'all'): void {
  const { now } = game;
  if (isBlocked(worker, now) || worker.deaf) return;
  if (worker.requestsEndAt > now) worker.cutRequests += 1;
  worker.requestsEndAt = Math.min(worker.requestsEndAt, now);
  if (scope === 'all') {
    if (worker.longEndAt > now) worker.cutLongLived += 2;
    worker.longEndAt = Math.min(worker.longEndAt, now);
  }
  planDrained(game, worker);
}

function signal(game: Game, worker: FakeWorker, name: 'SIGTERM' | 'SIGKILL'): void {
  const { dice } = game;
  if (name === 'SIGKILL') {
    return exit(game, worker, dice.between(0, REAP_MOST_MS), { code: null, signal: name });
  }
  if (worker.ignoresTerm) return;
  const slow = dice.chance(0.1);
  exit(game, worker, dice.between(0, slow ? 4000 : 50), { code: null, signal: name });
}

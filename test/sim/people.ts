/** What people, signals and other processes do to the pool during a game. */
import type { Policy, PoolEvent } from '../../src/control/types.ts';
import { drainResultOf, reportOf } from './fake-worker.ts';
import { feed, type Game } from './game.ts';
import { isAtRest } from './referee.ts';
import { rule } from './book.ts';
import { HEALTHY, type Action } from './scenario.ts';

/** Puts the whole schedule of the scenario into the queue. */
export function scheduleActions(game: Game): void {
  for (const { at, action } of game.scenario.actions) {
    game.queue.add(at, () => act(game, action));
  }
  visit(game);
}

// --- internal ---

/** How often somebody looks whether the pool has come to rest. */
const LOOK_MS = 1000;
/** At rest means to stay so: for longer than the longest watch or back-off. */
const REST_MS = 20_000;

/** Requests come to a pool that sleeps, wait, and are served as soon as somebody is ready. */
function visit(game: Game): void {
  const { dice, queue, workers, referee } = game;
  if (referee.book.ended || referee.book.stopping !== null) return;
  const serves = [...workers.values()].some(({ readyAt, gone }) => readyAt !== null && !gone);
  if (serves && referee.book.waiting > 0) feed(game, { type: 'demand', waiting: 0, oldestMs: 0 });
  else if (!serves && dice.chance(0.3)) {
    feed(game, { type: 'demand', waiting: dice.whole(1, 20), oldestMs: dice.whole(0, 5000) });
  }
  queue.add(game.now + dice.between(500, 5000), () => visit(game));
}

function act(game: Game, action: Action): void {
  switch (action.type) {
    case 'reload':
      feed(game, action);
      // Another pool failed before this one could even try.
      if (action.isJoint && game.dice.chance(0.2)) {
        const order = { type: 'roll_back', epoch: game.state.reloads, detail: 'others' } as const;
        const at = game.now + game.dice.between(0, 3000);
        game.queue.add(at, () => feed(game, order));
      }
      return;
    case 'scale':
    case 'stop':
      return feed(game, action);
    case 'recycle':
      return feed(game, { ...action, reason: 'manual' });
    case 'suspend':
      // Everything that happened meanwhile is in the queue and comes afterwards, late.
      game.now += action.gapMs;
      return feed(game, { type: 'suspended', gapMs: action.gapMs });
    case 'noise':
      return feed(game, drawNoise(game));
    case 'heal':
      return heal(game, action.policy, action.withinMs);
  }
}

/**
 * From now on new workers are healthy: everything has to come right by itself, and then stay so.
 */
function heal(game: Game, policy: Policy, withinMs: number): void {
  if (isLeaving(game)) return;
  game.nature = HEALTHY;
  feed(game, { type: 'reload', policy });
  const latest = game.now + withinMs;
  let restingSince = Infinity;
  const look = (): void => {
    const { book } = game.referee;
    if (book.ended || isLeaving(game)) return;
    const rests = isAtRest(game.state);
    if (!rests) {
      rule(restingSince === Infinity, 'the pool does not stay at rest');
      rule(game.now < latest, 'the pool did not come to rest in a healthy world');
    } else if (restingSince === Infinity) restingSince = game.now;
    else if (game.now >= restingSince + REST_MS)
      return feed(game, { type: 'stop', mode: 'graceful' });
    game.queue.add(game.now + LOOK_MS, look);
  };
  look();
}

/** A stop is announced or under way: nothing new is begun. */
function isLeaving({ referee: { book } }: Game): boolean {
  return book.stopping !== null || book.leaveAt !== null;
}

/** Messages that make no sense where they come: of the dead, of strangers, twice, too early. */
function drawNoise(game: Game): PoolEvent {
  const { dice, workers, now } = game;
  const worker = dice.chance(0.2) ? 999_999 : dice.whole(1, Math.max(1, workers.size));
  const fake = workers.get(worker);
  const stranger = fake === undefined || fake.gone;
  const policy = game.state.policy;
  return dice.pick<() => PoolEvent>([
    () => ({ type: 'start' }),
    () => ({ type: 'tick' }),
    () => ({ type: 'pressure' }),
    () => ({ type: 'healed', worker, memoryBytes: 1, tookMs: 1 }),
    () => ({ type: 'scale', slots: NaN }),
    () => ({ type: 'scale', slots: -7.5 }),
    () => ({ type: 'scale_by', slots: dice.pick([1, -1, NaN]) }),
    () => ({ type: 'demand', waiting: dice.pick([NaN, -1, 0]), oldestMs: 0 }),
    () => ({ type: 'recycle', slot: 77, reason: 'manual' }),
    () => ({ type: 'suspended', gapMs: -5 }),
    () => ({ type: 'reload', policy }),
    // Of a reload that nobody tries, or that nobody has proved yet.
    () => ({ type: 'commit', epoch: dice.pick([77, game.state.epoch]) }),
    () => ({ type: 'roll_back', epoch: dice.pick([77, game.state.epoch]), detail: 'late' }),
    () =>
      game.state.trial?.isProved === false
        ? { type: 'commit', epoch: game.state.trial.epoch }
        : { type: 'tick' },
    () => (stranger ? { type: 'ready', worker } : { type: 'tick' }),
    () =>
      stranger
        ? { type: 'exited', worker, code: 1, signal: null, detail: 'twice' }
        : { type: 'sample', worker, memoryBytes: 1 },
    () =>
      fake === undefined || fake.readyAt === null
        ? { type: 'tick' }
        : { type: 'boot_failed', worker, message: 'late', retryAtOnce: true },
    () =>
      fake === undefined || fake.drainAt !== null
        ? { type: 'tick' }
        : { type: 'drained', worker, result: drainResultOf(fake) },
    () =>
      fake === undefined
        ? { type: 'sample', worker, memoryBytes: 2 ** 40 }
        : { type: 'report', worker, report: reportOf(fake, now) },
  ])();
}

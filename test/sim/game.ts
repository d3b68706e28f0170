/**
 * One game: the real control code against fake workers and a fake clock, watched by the referee.
 */
import { createPool, nextDeadline, step, type PoolState } from '../../src/control/pool.ts';
import type { Effect, PoolEvent, WorkerId } from '../../src/control/types.ts';
import { Foul, rule } from './book.ts';
import { createDice, type Dice } from './dice.ts';
import type { FakeWorker } from './fake-worker.ts';
import { createQueue, type Queue } from './queue.ts';
import { createReferee, type Referee } from './referee.ts';
import { drawScenario, type Nature, type Scenario } from './scenario.ts';

export interface Game {
  readonly dice: Dice;
  readonly scenario: Scenario;
  readonly queue: Queue;
  readonly referee: Referee;
  /** Performs an effect; set by the player, who knows processes. */
  readonly perform: (game: Game, effect: Effect) => void;
  readonly workers: Map<WorkerId, FakeWorker>;
  nature: Nature;
  state: PoolState;
  now: number;
  steps: number;
  outcome: string;
  /** Kinds of effects and of things told. */
  readonly seen: Set<string>;
  /** What went in and out, for people who want to know how it came to a foul; null = not kept. */
  readonly history: string[] | null;
  /** What the pool hears first before any event: its share of the house. */
  news?: () => PoolEvent | null;
}

export function createGame(
  seed: number,
  perform: Game['perform'],
  keepHistory: boolean,
  draw: (dice: Dice) => Scenario = drawScenario,
): Game {
  const dice = createDice(seed);
  const scenario = draw(dice);
  return {
    dice,
    scenario,
    queue: createQueue(),
    referee: createReferee(scenario),
    perform,
    workers: new Map(),
    nature: scenario.nature,
    state: createPool(scenario.policy),
    now: 0,
    steps: 0,
    outcome: 'unfinished',
    seen: new Set(),
    history: keepHistory ? [JSON.stringify(scenario)] : null,
  };
}

/** Plays until the pool is finished. */
export function run(game: Game): void {
  while (!game.referee.book.ended) {
    rule(game.steps < STEPS_MAX, `no end after ${STEPS_MAX} steps`);
    advance(game);
  }
  // The dead may still have letters in the post.
  while (game.queue.nextAt() !== null) game.queue.take()();
}

/** One event for control: step, judge, perform. */
export function feed(game: Game, event: PoolEvent): void {
  const news = game.news?.() ?? null;
  if (news !== null) feedOne(game, news);
  feedOne(game, event);
}

function feedOne(game: Game, event: PoolEvent): void {
  game.steps += 1;
  if (game.dice.chance(PROBE_SHARE)) probe(game, event);
  const deadline = nextDeadline(game.state) ?? Infinity;
  const overdue = deadline <= game.now - (event.type === 'suspended' ? event.gapMs : 0);
  const { state, effects } = step(game.state, event, game.now, game.dice.next);
  game.state = state;
  game.history?.push(`${game.now} ${JSON.stringify(event)}`);
  if (game.history !== null) {
    for (const effect of effects) game.history.push(`    ${JSON.stringify(effect)}`);
  }
  game.referee.watch({ event, now: game.now, state, effects, overdue });
  for (const effect of effects) {
    game.seen.add(effect.type === 'tell' ? effect.told.event : effect.type);
    game.perform(game, effect);
  }
}

/** The next thing that happens. */
export function advance(game: Game): void {
  const { queue, dice, scenario } = game;
  const deadline = nextDeadline(game.state);
  const next = queue.nextAt();
  rule(deadline !== null || next !== null, 'nothing will ever happen again');
  const timerAt = deadline === null ? Infinity : deadline + dice.whole(0, scenario.latenessMs);
  if (next !== null && next <= timerAt) {
    game.now = Math.max(game.now, next);
    queue.take()();
  } else {
    game.now = Math.max(game.now, timerAt);
    feed(game, { type: 'tick' });
  }
}

/** When something happens next; Infinity = never again. */
export function nextAt({ queue, state }: Game): number {
  return Math.min(queue.nextAt() ?? Infinity, nextDeadline(state) ?? Infinity);
}

// --- internal ---

/** A game that long is stuck: the longest seen has a tenth of it. */
const STEPS_MAX = 200_000;
/** Share of the steps that are examined closely; it costs several steps' time. */
const PROBE_SHARE = 0.01;

/** A step must not change the state it was given, and before its deadline a tick does nothing. */
function probe(game: Game, event: PoolEvent): void {
  const { state, now } = game;
  const before = structuredClone(state);
  step(state, event, now, () => 0.5);
  rule(JSON.stringify(show(before)) === JSON.stringify(show(state)), 'a step changed its input');
  const deadline = nextDeadline(state);
  const early = deadline === null ? now : Math.min(now, deadline - 1);
  if (early < state.now) return;
  const { effects } = step(state, { type: 'tick' }, early, () => 0.5);
  const names = effects.map((effect) => effect.type).join(', ');
  if (effects.length > 0) throw new Foul(`a tick before the next deadline does ${names}`);
}

function show(state: PoolState): unknown {
  return { ...state, slots: [...state.slots], workers: [...state.workers] };
}

/**
 * Several leaky pools under one budget: `SIM_HOUSE_SEED=12 npx vitest run test/sim/house` plays one
 * game and prints what the pools told.
 */
import { expect, test } from 'vitest';
import { usedBytes } from '../../src/control/budget.ts';
import { settle, shareNews, type Share } from '../../src/control/house.ts';
import type { PoolState } from '../../src/control/pool.ts';
import { createDice, type Dice } from './dice.ts';
import { advance, createGame, feed, nextAt, type Game } from './game.ts';
import { perform } from './processes.ts';
import { leakyPolicy, HEALTHY, MEBIBYTE, type Scenario } from './scenario.ts';

const games = Math.ceil(Number(process.env['SIM_SEEDS'] ?? 800) / 140);
const only = process.env['SIM_HOUSE_SEED'];

const OVERHEAD_BYTES = 40 * MEBIBYTE;
/** Like RHO_MAX of the leaky pools: the recycler load up to which the budget holds. */
const RHO_MAX = 0.7;
const DRAIN_MOST_MS = 4300;
const CYCLE_LEAST_MS = 20_000;
const CYCLES = 5;
/** Generous: it takes a tenth of this on two idle cores. */
const GAME_MS = 10_000;
const timeout = 60_000 + games * GAME_MS;

test(`one budget holds over several pools in ${games} games`, { timeout }, () => {
  for (const seed of seedsOf()) {
    const house = play(seed);
    const words = `SIM_HOUSE_SEED=${seed}`;
    expect(house.told, words).not.toContain('over_budget');
    expect(house.peakBytes, words).toBeLessThanOrEqual(house.budgetBytes);
    expect(house.bothAtOnce, `${words}: two pools made room at once`).toBe(false);
    expect(house.recycles, words).toBeGreaterThan(0);
  }
});

test('pools that are alike have to make room alike', { timeout: 60_000 }, () => {
  const counts = [0, 0];
  for (const seed of [1, 2, 3, 4, 5]) {
    for (const [at, game] of play(seed, 2, true).games.entries()) {
      counts[at] = (counts[at] ?? 0) + game.state.recycles.budget;
    }
  }
  const [first = 0, second = 0] = counts;
  expect(Math.min(first, second)).toBeGreaterThan(0.6 * Math.max(first, second));
});

// --- internal ---

function seedsOf(): number[] {
  return only === undefined ? Array.from({ length: games }, (_, i) => i + 1) : [Number(only)];
}

interface House {
  readonly games: readonly Game[];
  readonly budgetBytes: number;
  readonly peakBytes: number;
  readonly recycles: number;
  readonly bothAtOnce: boolean;
  readonly told: readonly string[];
}

/** Plays pools on one clock, which share one budget. */
function play(seed: number, count?: number, areAlike = false): House {
  const dice = createDice(seed);
  const { scenarios, budgetBytes, playMs } = drawHouse(dice, count ?? dice.whole(2, 3), areAlike);
  const games = scenarios.map((scenario, at) =>
    createGame(seed * 10 + at, perform, only !== undefined, () => scenario),
  );
  let [peakBytes, bothAtOnce] = [0, false];
  linkUp(games);
  for (const game of games) feed(game, { type: 'start' });
  for (;;) {
    const game = games.reduce((first, other) => (nextAt(other) < nextAt(first) ? other : first));
    if (nextAt(game) > playMs) break;
    advance(game);
    wakeOthers(games, game.now);
    const states = games.map(({ state }) => state);
    const own = states.map((state) => usedBytes(state) - state.overheadBytes);
    peakBytes = Math.max(peakBytes, OVERHEAD_BYTES + own.reduce((sum, bytes) => sum + bytes, 0));
    bothAtOnce ||= states.filter(makesRoom).length > 1;
  }
  if (only !== undefined) for (const { history } of games) console.log(history?.join('\n'));
  return {
    games,
    budgetBytes,
    peakBytes,
    bothAtOnce,
    recycles: games.reduce((sum, { state }) => sum + state.recycles.budget, 0),
    told: games.flatMap(({ seen }) => [...seen]),
  };
}

/** What the house of the supervisor does: each turn begins with the share of the pool. */
function linkUp(games: readonly Game[]): void {
  for (const [at, game] of games.entries()) {
    game.news = () => {
      const share = sharesOf(games, game.now)[at];
      return share === undefined ? null : shareNews(game.state, share);
    };
  }
}

/** After a turn another pool may have to make room. */
function wakeOthers(games: readonly Game[], now: number): void {
  for (const [at, { mayReclaim }] of sharesOf(games, now).entries()) {
    const game = games[at];
    if (game === undefined || game.state.mayReclaim === mayReclaim) continue;
    game.now = now;
    feed(game, { type: 'tick' });
    return wakeOthers(games, now);
  }
}

function sharesOf(games: readonly Game[], now: number): readonly Share[] {
  const states = games.map(({ state }) => state);
  return settle(states, OVERHEAD_BYTES, now);
}

function makesRoom({ slots }: PoolState): boolean {
  return [...slots.values()].some(({ recycle }) => recycle?.due.reason === 'budget');
}

function drawHouse(
  dice: Dice,
  count: number,
  areAlike: boolean,
): { scenarios: Scenario[]; budgetBytes: number; playMs: number } {
  const sizes = Array.from({ length: count }, () => (areAlike ? 2 : dice.whole(1, 4)));
  const boots = sizes.map(() => (areAlike ? 500 : dice.pick([100, 500, 2000])));
  const workers = sizes.reduce((sum, size) => sum + size, 0);
  const turnMs = Math.max(...boots) + DRAIN_MOST_MS;
  const cycleMs = Math.max(CYCLE_LEAST_MS, (workers * turnMs) / RHO_MAX) * dice.between(1, 3);
  const room = workers * dice.whole(60, 200) * MEBIBYTE;
  const floors = 1.1 * HEALTHY.floorBytes * (workers + 1) + OVERHEAD_BYTES;
  const budgetBytes = Math.round(floors + room);
  const scenarios = sizes.map((size, at): Scenario => {
    const perSecond = areAlike ? 50 : dice.pick([5, 50, 500]);
    return {
      policy: leakyPolicy(dice, size, budgetBytes),
      nature: {
        ...HEALTHY,
        bootMs: boots[at] ?? 500,
        requestsPerSecond: perSecond,
        slopeBytes: room / workers / ((cycleMs / 1000) * perSecond),
      },
      actions: [],
      reportMs: 1000,
      sampleMs: 1000,
      latenessMs: 0,
      luckyFirst: 0,
      isHoused: true,
    };
  });
  return { scenarios, budgetBytes, playMs: CYCLES * cycleMs };
}

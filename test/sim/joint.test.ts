/**
 * Reloads of several pools together, some of which cannot boot: `SIM_JOINT_SEED=12 npx vitest run
 * test/sim/joint` plays one game and prints what went in and out.
 */
import { expect, test } from 'vitest';
import { jointOrder } from '../../src/control/joint.ts';
import { totals, workersOf } from '../../src/control/pool.ts';
import type { Effect } from '../../src/control/types.ts';
import { createDice, type Dice } from './dice.ts';
import { advance, createGame, feed, nextAt, type Game } from './game.ts';
import { perform } from './processes.ts';
import { isAtRest } from './referee.ts';
import { HEALTHY, leakyPolicy, type Scenario } from './scenario.ts';

const games = Math.ceil(Number(process.env['SIM_SEEDS'] ?? 800) / 20);
const only = process.env['SIM_JOINT_SEED'];

/** Generous: it takes a quarter of this on two idle cores. */
const GAME_MS = 2000;
/** Reloads of one game; some come while the one before them is on trial. */
const RELOADS = 3;
const PLAY_MS = 60_000;
/** After the last reload all slots can be replaced twice, there and back. */
const REST_MS = 240_000;

const timeout = 60_000 + games * GAME_MS;
test(`a reload rules in all pools or in none, in ${games} games`, { timeout }, () => {
  const outcomes = new Set<string>();
  for (const seed of seedsOf()) {
    const words = `SIM_JOINT_SEED=${seed}`;
    const { pools, bad } = play(seed);
    const [first] = pools;
    for (const { state } of pools) {
      expect(state.epoch, words).toBe(first?.state.epoch);
      expect(isAtRest(state), words).toBe(true);
      expect(totals(state).crashes, words).toBe(0);
      for (const { epoch } of workersOf(state)) expect(epoch, words).toBe(state.epoch);
    }
    expect(bad, words).not.toContain(first?.state.epoch);
    for (const { seen } of pools) for (const word of seen) outcomes.add(word);
  }
  if (only !== undefined) return;
  expect(outcomes).toContain('canary_ready');
  expect(outcomes).toContain('reload_rolled_back');
  expect(outcomes).toContain('reloaded');
});

// --- internal ---

function seedsOf(): number[] {
  return only === undefined ? Array.from({ length: games }, (_, i) => i + 1) : [Number(only)];
}

function play(seed: number): { pools: readonly Game[]; bad: ReadonlySet<number> } {
  const dice = createDice(seed);
  const bad = new Set<number>();
  const pools: Game[] = [];
  const performAndTell = (game: Game, effect: Effect): void => {
    perform(game, effect);
    if (effect.type !== 'tell') return;
    const named = pools.map(({ state }, at) => ({ name: `pool${at}`, state }));
    const order = jointOrder(effect.told, `pool${pools.indexOf(game)}`, named);
    if (order === null) return;
    // All of them hear it, after what they do now.
    for (const each of pools) each.queue.add(game.now, () => feed(each, order));
  };
  for (let count = dice.whole(2, 3); count > 0; count -= 1) {
    const scenario = drawScenario(dice);
    for (const epoch of scenario.badEpochs ?? []) bad.add(epoch);
    pools.push(createGame(seed * 10 + count, performAndTell, only !== undefined, () => scenario));
  }
  const times = Array.from({ length: RELOADS }, () => dice.whole(0, PLAY_MS));
  for (const at of times) {
    for (const game of pools) {
      const { policy } = game.scenario;
      game.queue.add(at, () => feed(game, { type: 'reload', policy, isJoint: true }));
    }
  }
  for (const game of pools) feed(game, { type: 'start' });
  for (;;) {
    const game = pools.reduce((first, other) => (nextAt(other) < nextAt(first) ? other : first));
    if (nextAt(game) > PLAY_MS + REST_MS) break;
    advance(game);
  }
  if (only !== undefined) for (const { history } of pools) console.log(history?.join('\n'));
  return { pools, bad };
}

function drawScenario(dice: Dice): Scenario {
  const surge = dice.pick([0, 1, 1]);
  return {
    policy: { ...leakyPolicy(dice, dice.whole(1, 4), 0), surge },
    nature: { ...HEALTHY, bootMs: dice.pick([100, 2000, 8000]) },
    actions: [],
    reportMs: 1000,
    sampleMs: 1000,
    latenessMs: 0,
    luckyFirst: 1,
    isHoused: true,
    badEpochs: new Set([1, 2, 3].filter(() => dice.chance(0.25))),
  };
}

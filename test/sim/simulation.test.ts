/**
 * The real control code in thousands of random games. Replay one with its whole history:
 * `SIM_SEED=123 npx vitest run test/sim`; play more of them: `npm run simulate -- --seeds 100000`.
 */
import { expect, test } from 'vitest';
import { play, type Result } from './simulate.ts';

const only = process.env['SIM_SEED'];
const first = Number(process.env['SIM_FIRST'] ?? 1);
const games = Number(process.env['SIM_SEEDS'] ?? 2000);
const FOULS_SHOWN = 5;
/** Generous: the machine may be busy with other tests; a game takes 3 ms of one core. */
const GAME_MS = 100;

test.runIf(only === undefined)(
  `no rule is broken in ${games} games`,
  { timeout: 10_000 + games * GAME_MS },
  () => {
    const results: Result[] = [];
    const fouls: string[] = [];
    for (let seed = first; seed < first + games && fouls.length < FOULS_SHOWN; seed += 1) {
      try {
        results.push(play(seed));
      } catch (error) {
        fouls.push((error as Error).message);
      }
    }
    expect(fouls).toEqual([]);
    // Games that never get anywhere prove nothing: everything control can do has to occur.
    const seen = new Set(results.flatMap((result) => [...result.seen, result.outcome]));
    expect([...seen].sort()).toEqual(EVERYTHING);
    const recycled = results.reduce((sum, result) => sum + result.recycled, 0);
    expect(recycled).toBeGreaterThan(games);
  },
);

test.runIf(only !== undefined)(`the game of seed ${only}`, { timeout: 60_000 }, () => {
  try {
    console.log(play(Number(only), true));
  } catch (error) {
    console.log((error as Error).cause);
    throw error;
  }
});

const EVERYTHING = [
  'all_ready',
  'at_capacity',
  'boot_failed',
  'cut',
  'drain',
  'drain_deadline',
  'finished',
  'floor_above_limit',
  'floor_measured',
  'growth_measured',
  'heal',
  'healed',
  'leaving',
  'never_booted',
  'over_budget',
  'recycle_postponed',
  'recycle_started',
  'recycled',
  'recycler_saturated',
  'reload_rolled_back',
  'reload_rolling',
  'reloaded',
  'scaled',
  'signal',
  'spawn',
  'stopped',
  'stopped_late',
  'stopping',
  'suspended',
  'unresponsive',
  'within_budget',
  'worker_crashed',
  'worker_killed',
  'worker_ready',
];

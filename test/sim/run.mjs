/**
 * `npm run simulate [-- --seeds 100000 --first 1]` plays many games, `-- --seed 123` one of them,
 * with its history if it fouls. Plain JavaScript that calls vitest, since Node 20 cannot run
 * TypeScript by itself.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

/** What a coffee break has time for; the tests play some thousands. */
const SEEDS = '10000';

const text = { type: 'string' };
const { values } = parseArgs({ options: { seeds: text, first: text, seed: text } });
const env = { ...process.env };
env.SIM_SEEDS = values.seeds ?? SEEDS;
if (values.first !== undefined) env.SIM_FIRST = values.first;
if (values.seed !== undefined) env.SIM_SEED = values.seed;
const { status } = spawnSync('npx', ['vitest', 'run', 'test/sim'], { env, stdio: 'inherit' });
process.exitCode = status ?? 1;

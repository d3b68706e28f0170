/**
 * `npm run fuzz [-- --times 20]` plays that many times what the tests play, `-- --seed 123` the same
 * again. Plain JavaScript that calls vitest, since Node 20 cannot run TypeScript by itself.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

/** Half an hour on two cores. */
const TIMES = '20';

const text = { type: 'string' };
const { values } = parseArgs({ options: { times: text, seed: text } });
const env = { ...process.env, FUZZ_TIMES: values.times ?? TIMES };
if (values.seed !== undefined) env.FUZZ_SEED = values.seed;
const { status } = spawnSync('npx', ['vitest', 'run', 'test/fuzz'], { env, stdio: 'inherit' });
process.exitCode = status ?? 1;

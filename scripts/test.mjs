/**
 * `npm test`: everything that must hold, on a fresh clone, in one command.
 *
 *   node scripts/test.mjs                 set up, check types, lint, format; all tests
 *   node scripts/test.mjs --core          the tests that depend on the Node version, and no checks
 *   node scripts/test.mjs recycle         everything, but only the test files that match
 *
 * The last line counts: `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, buildService, installPackages, installTools, ROOT, runBin } from './setup.mjs';

/** Says the same on every Node version, or drives programs that do: left out by `--core`. */
const NOT_CORE = [
  'test/docs/**',
  'test/support/**',
  'test/real/{memory-forecast,heal,box}.test.ts',
  'test/real/{package,demo,load,leak,leak-arms,leak-corpus,metrics,php-apps}.test.ts',
  'test/real/{cli,page}*.test.ts',
];

const args = process.argv.slice(2);
const isCore = args.includes('--core');
const filters = args.filter((arg) => !arg.startsWith('--'));

let failures = 0;

await step('dependencies', async () => {
  for (const folder of ['.', 'test/apps', 'examples/leaky-express']) await installPackages(folder);
});
if (failures > 0) process.exit(1);
await step('tools', async () => {
  const missing = await installTools();
  if (missing.length > 0) console.log(`  without ${missing.join(', ')}: their tests are skipped`);
  await buildService();
});
await step('build', build);
if (!isCore) {
  await step('types', () => runBin('typescript/bin/tsc', ['-p', 'tsconfig.json']));
  await step('lint', () => runBin('oxlint/bin/oxlint', ['--type-aware', '--deny-warnings']));
  await step('format', () => runBin('oxfmt/bin/oxfmt', ['--check']));
}
const counts = await runTests();
counts.failed += failures;
report(counts);
process.exitCode = counts.failed > 0 ? 1 : 0;

// --- internal ---

/** One line with its time; what a failed step printed comes below it. */
async function step(name, work) {
  const start = performance.now();
  let problem = null;
  await work().catch((error) => (problem = error));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${problem ? '✗' : '✓'} ${name.padEnd(14)} ${seconds.padStart(6)} s`);
  if (problem === null) return;
  failures += 1;
  console.error(problem.message);
}

/** Vitest with its own output; a second reporter tells the numbers. */
async function runTests() {
  const scratch = mkdtempSync(join(tmpdir(), 'cofferdam-test-'));
  const results = join(scratch, 'results.json');
  const excluded = isCore ? NOT_CORE.flatMap((glob) => ['--exclude', glob]) : [];
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`];
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...excluded, ...filters];
  const child = spawn(process.execPath, vitest, {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  const counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    const told = JSON.parse(readFileSync(results, 'utf8'));
    counts.passed = told.numPassedTests;
    counts.failed = told.numFailedTests;
    counts.skipped = told.numPendingTests + told.numTodoTests;
  } catch {
    // Vitest died before it could tell: its exit code counts below.
  }
  // An error outside of any test (a warning, an unhandled rejection) fails the run without a count.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  rmSync(scratch, { recursive: true });
  return counts;
}

/** On the last line, or for `.ci/run`, which adds up several runs, in the file that it names. */
function report({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  const file = process.env.TEST_COUNTS_FILE;
  if (file) appendFileSync(file, `${line}\n`);
  console.log(file ? `Node ${process.versions.node}: ${line}.` : line);
}

/**
 * `npm test`: everything that must hold, on a fresh clone, in one command.
 *
 *   node scripts/test.mjs                 set up, check types, lint, format; all tests
 *   node scripts/test.mjs --core          the tests that depend on the Node version, and no checks
 *   node scripts/test.mjs recycle         everything, but only the test files that match
 *
 * The last line counts: `N passed, N failed, N skipped`. A few tests that fail get a second look, alone
 * on the machine, and are named if they pass then (docs/decisions/0026): each of them is to be mended.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { build, buildService, installPackages, installTools, ROOT, runBin } from './setup.mjs';

/** Says the same on every Node version, or drives programs that do: left out by `--core`. */
const NOT_CORE = [
  'test/docs/**',
  'test/support/**',
  'test/real/{memory-forecast,heal,box}.test.ts',
  'test/real/{package,demo,load,leak,leak-arms,leak-corpus,leak-examples,metrics,php-apps}.test.ts',
  'test/real/{cli,page}*.test.ts',
];

/** More than that is no bad luck. */
const SECOND_LOOKS_MAX = 3;

/** What counts lost requests or broken rules has no second look: one in a hundred is one too many. */
const NO_SECOND_LOOK = /\/(recycle|replaced|load|php-recycling|simulation|attack|frameworks)/;

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

async function runTests() {
  const excluded = isCore ? NOT_CORE.flatMap((glob) => ['--exclude', glob]) : [];
  const first = await vitest([...excluded, ...filters]);
  const { counts, failures: failed, code } = first;
  // An error outside of any test (a warning, an unhandled rejection) fails the run without a count.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  const mayLook = failed.length === counts.failed && failed.length <= SECOND_LOOKS_MAX;
  if (failed.length === 0 || !mayLook || failed.some(({ file }) => NO_SECOND_LOOK.test(file))) {
    return counts;
  }
  console.log(`\nA second look at ${failed.length} that failed, alone on the machine:`);
  const names = failed.map(({ name }) => name.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'));
  const files = [...new Set(failed.map(({ file }) => file))];
  const second = await vitest([
    '--no-file-parallelism',
    '--testNamePattern',
    `^ ?(${names.join('|')})$`,
    ...files,
  ]);
  if (second.code !== 0 || second.counts.passed < failed.length) return counts;
  for (const { file, name } of failed) console.log(`FLAKY, to be mended: ${file} > ${name}`);
  counts.passed += failed.length;
  counts.failed = 0;
  return counts;
}

/** Vitest with its own output; a second reporter tells the numbers and who failed. */
async function vitest(more) {
  const scratch = mkdtempSync(join(tmpdir(), 'cofferdam-test-'));
  const results = join(scratch, 'results.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`];
  const child = spawn(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...more],
    { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const code = await new Promise((resolve) => child.once('close', resolve));
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let failures = [];
  try {
    const told = JSON.parse(readFileSync(results, 'utf8'));
    counts.passed = told.numPassedTests;
    counts.failed = told.numFailedTests;
    counts.skipped = told.numPendingTests + told.numTodoTests;
    failures = told.testResults.flatMap(({ name: file, assertionResults }) =>
      assertionResults
        .filter(({ status }) => status === 'failed')
        .map(({ fullName }) => ({ file: relative(ROOT, file), name: fullName.trim() })),
    );
  } catch {
    // Vitest died before it could tell: its exit code counts.
  }
  rmSync(scratch, { recursive: true });
  return { counts, failures, code };
}

/** On the last line, or for `.ci/run`, which adds up several runs, in the file that it names. */
function report({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  const file = process.env.TEST_COUNTS_FILE;
  if (file) appendFileSync(file, `${line}\n`);
  console.log(file ? `Node ${process.versions.node}: ${line}.` : line);
}

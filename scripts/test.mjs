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
const NO_SECOND_LOOK = /\/(fuzz|recycle|replaced|load|php-recycling|simulation|attack|frameworks)/;

/** The name of a failure that no test of its file counts. */
const OUTSIDE = '(outside of any test)';

/** Of the message of a failure: enough for the difference and the first frames of the stack. */
const MESSAGE_LINES_MAX = 20;
const MESSAGE_COLUMNS_MAX = 400;

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
  tell('FAILED', [{ file: 'scripts/test.mjs', name, message: problem.message }]);
}

async function runTests() {
  const excluded = isCore ? NOT_CORE.flatMap((glob) => ['--exclude', glob]) : [];
  const { counts, failures: failed } = await vitest([...excluded, ...filters]);
  if (failed.length === 0) return counts;
  if (failed.length > SECOND_LOOKS_MAX || !failed.every(mayPassLater)) {
    tell('FAILED', failed);
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
  if (second.failures.length > 0 || second.counts.passed < failed.length) {
    tell('FAILED', failed);
    tell('FAILED a second time', second.failures);
    return counts;
  }
  tell('FLAKY, to be mended', failed);
  counts.passed += failed.length;
  counts.failed = 0;
  return counts;
}

function mayPassLater({ file, name }) {
  return name !== OUTSIDE && !NO_SECOND_LOOK.test(file);
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
    counts.skipped = told.numPendingTests + told.numTodoTests;
    failures = told.testResults.flatMap(failuresOf);
  } catch {
    // Vitest died before it could tell: its exit code counts.
  }
  rmSync(scratch, { recursive: true });
  // A warning, an unhandled rejection: fails the run, but no test.
  if (code !== 0 && failures.length === 0) {
    failures.push({ file: 'vitest', name: OUTSIDE, message: `exit code ${code}: see above` });
  }
  counts.failed = failures.length;
  return { counts, failures };
}

function failuresOf({ name: path, status, message: problem, assertionResults: tests }) {
  const file = relative(ROOT, path);
  const failed = tests.filter((test) => test.status === 'failed');
  if (status === 'failed' && failed.length === 0) {
    return [{ file, name: OUTSIDE, message: problem }];
  }
  return failed.map(({ fullName, failureMessages }) => ({
    file,
    name: fullName.trim(),
    message: failureMessages.join('\n'),
  }));
}

/** Who failed and why, near the last line: what a log keeps of a long run is its end. */
function tell(verdict, tests) {
  const version = process.versions.node;
  const lines = tests.flatMap(({ file, name, message }) => [
    `${verdict} (Node ${version}): ${file} > ${name}`,
    ...message.split('\n').slice(0, MESSAGE_LINES_MAX).map(shorten),
  ]);
  const text = `${lines.join('\n')}\n`;
  const told = process.env.TEST_FAILURES_FILE;
  if (told) appendFileSync(told, text);
  console.log(text);
}

function shorten(line) {
  return `    ${line.slice(0, MESSAGE_COLUMNS_MAX)}`;
}

/** On the last line, or for `.ci/run`, which adds up several runs, in the file that it names. */
function report({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  const file = process.env.TEST_COUNTS_FILE;
  if (file) appendFileSync(file, `${line}\n`);
  console.log(file ? `Node ${process.versions.node}: ${line}.` : line);
}

/**
 * `npm start`: a leaky Express app under Cofferdam and under load, for about a minute.
 *
 *   DEMO_SECONDS=10 npm start
 *
 * Sets itself up on a fresh clone, shows one live line, ends with a summary; Ctrl-C ends it at any
 * moment. Exit code 0 only when not one request failed.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as screen from './demo-screen.mjs';
import { startServing } from './demo-server.mjs';
import { treeOf } from './process-tree.mjs';
import { requestMix } from './request-mix.mjs';
import { build, installPackages, ROOT } from './setup.mjs';

const MIB = 2 ** 20;
const WORKERS = 2;
const BUDGET_MIB = 512;
const WORKER_LIMIT_MIB = 150;
const RATE_PER_SECOND = 150;
/** Measured on the example: growth of a worker per request, without Cofferdam. */
const LEAK_BYTES_PER_REQUEST = 106_000;
const DEFAULT_SECONDS = 60;
const LONGEST_SECONDS = 3_600;

const REDRAW_MS = 250;

await main().catch((error) => {
  screen.say(`\n  ${screen.red('The demo could not run:')} ${error.message}`);
  process.exitCode = 1;
});

// --- internal ---

async function main() {
  const seconds = secondsToRun();
  const interrupted = new AbortController();
  const stopCatching = catchSignals(interrupted);
  try {
    await setUp();
  } catch (error) {
    // Ctrl-C ends npm as well, which is no news.
    if (!interrupted.signal.aborted) throw error;
  }
  if (interrupted.signal.aborted) return;

  screen.printHeading([
    ['app', 'examples/leaky-express: Express 5, leaks about 100 KB per request'],
    ['workers', `${WORKERS}, recycled at ${WORKER_LIMIT_MIB} MiB each`],
    ['budget', `${BUDGET_MIB} MiB for the whole process tree`],
    [
      'load',
      `${RATE_PER_SECOND} requests a second for ${seconds} s: pages, JSON, uploads, reports`,
    ],
  ]);
  const served = await startServing('examples/leaky-express/server.js', {
    workers: WORKERS,
    'memory-budget': `${BUDGET_MIB}MiB`,
    'max-memory': `${WORKER_LIMIT_MIB}MiB`,
  });
  const meter = await startMeter(served);
  try {
    await Promise.race([served.ready, aborted(interrupted.signal)]);
    if (interrupted.signal.aborted) return;
    const result = await runLoad(seconds, served, meter, interrupted.signal);
    await served.stop();
    printSummary(result, served, meter);
    if (result.failed > 0 || result.backlog > 0) process.exitCode = 1;
  } finally {
    meter.stop();
    await served.stop();
    stopCatching();
  }
}

function secondsToRun() {
  const seconds = Number(process.env.DEMO_SECONDS ?? DEFAULT_SECONDS);
  if (seconds >= 1 && seconds <= LONGEST_SECONDS) return seconds;
  throw new Error(`DEMO_SECONDS has to be from 1 to ${LONGEST_SECONDS}.`);
}

/** The first signal ends the demo in good order, the second one at once. */
function catchSignals(interrupted) {
  const handle = () => {
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, handle);
  return () => {
    for (const signal of signals) process.off(signal, handle);
  };
}

function aborted(signal) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

async function setUp() {
  await screen.step('installing packages', async () => {
    await installPackages('.');
    await installPackages('examples/leaky-express');
  });
  if (!isBuilt()) await screen.step('building', build);
}

function isBuilt() {
  const main = join(ROOT, 'dist/cli/main.js');
  if (!existsSync(main)) return false;
  const builtAt = statSync(main).mtimeMs;
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true });
  return sources.every((file) => statSync(join(ROOT, 'src', file)).mtimeMs <= builtAt);
}

/** Reads the memory of the whole tree, by the same method as the budget itself. */
async function startMeter(served) {
  const { createTreeMeter } = await import('../dist/metrics/tree.js');
  const meter = createTreeMeter();
  const state = { bytes: null, peakBytes: 0 };
  const read = () => {
    state.bytes = meter.read(treeOf(served.pid))?.totalBytes ?? null;
    state.peakBytes = Math.max(state.peakBytes, state.bytes ?? 0);
  };
  const timer = setInterval(read, REDRAW_MS);
  void served.ready.then(() => meter.refresh(treeOf(served.pid))).catch(() => {});
  return Object.assign(state, { stop: () => clearInterval(timer) });
}

async function runLoad(seconds, served, meter, interrupted) {
  const { startLoad } = await import('../dist/leak/load.js');
  const load = startLoad({
    url: served.url,
    ratePerSecond: RATE_PER_SECOND,
    durationMs: seconds * 1000,
    requests: requestMix(),
  });
  const line = screen.createStatusLine();
  const rate = rateMeter();
  const redraw = setInterval(() => {
    const { elapsedMs, ok, failed } = load.snapshot();
    const { recycles } = served;
    const memory = { memoryBytes: meter.bytes, budgetBytes: BUDGET_MIB * MIB };
    line.show({ elapsedMs, ok, failed, perSecond: rate(elapsedMs, ok), recycles, ...memory });
  }, REDRAW_MS);
  try {
    const died = served.exited.then(() => 'died');
    const end = await Promise.race([load.finished, aborted(interrupted), died]);
    if (end === 'died') throw new Error(`the server died under load\n\n${served.lastLines()}`);
    return await load.stop();
  } finally {
    clearInterval(redraw);
    line.end();
  }
}

/** Requests per second over about the last two seconds. */
function rateMeter() {
  const window = [];
  return (elapsedMs, ok) => {
    window.push({ elapsedMs, ok });
    if (window.length > 2_000 / REDRAW_MS) window.shift();
    const [oldest] = window;
    return (1000 * (ok - oldest.ok)) / Math.max(1, elapsedMs - oldest.elapsedMs);
  };
}

function printSummary(result, served, meter) {
  const { ok, failed, latency } = result;
  const times = served.replacements.length;
  const leakedMib = (LEAK_BYTES_PER_REQUEST * ok) / MIB;
  screen.printRow(
    'served',
    `${screen.bold(screen.count(ok))} requests in ${(result.elapsedMs / 1000).toFixed(0)} s`,
  );
  screen.printRow('failed', failed === 0 ? screen.green('0') : screen.red(failuresOf(result)));
  screen.printRow(
    'latency',
    `p50 ${screen.milliseconds(latency.p50Ms)} · p99 ${screen.milliseconds(latency.p99Ms)} · max ${screen.milliseconds(latency.maxMs)}`,
  );
  screen.printRow(
    'recycles',
    times === 0
      ? '0'
      : `${times} (${screen.reasons(served.recycles)})${averages(served.replacements)}`,
  );
  screen.printRow('leaked', `about ${screen.count(leakedMib)} MiB, given back by the recycles`);
  if (meter.peakBytes > 0) screen.printRow('peak', screen.bar(meter.peakBytes, BUDGET_MIB * MIB));
  screen.say('');
  if (failed === 0) screen.say(`  ${screen.bold(screen.green('Not one request was lost.'))}\n`);
  else for (const note of result.notes) screen.say(`  ${screen.red(note)}`);
}

function failuresOf(result) {
  const classes = Object.entries(result.failures).filter(([, times]) => times > 0);
  return `${result.failed} (${classes.map(([name, times]) => `${name} ${times}`).join(', ')})`;
}

function averages(replacements) {
  const moved = replacements.reduce((sum, event) => sum + event.moved, 0);
  const ms = replacements.reduce((sum, event) => sum + event.replacedInMs, 0);
  const average = screen.milliseconds(ms / replacements.length);
  return `, ${average} each on average, ${screen.count(moved)} connections handed over`;
}

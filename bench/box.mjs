/**
 * The seed case of the field, "a hello-world app should run on a 512 MiB box": served with default
 * settings inside a memory control group of that size, where the kernel kills whoever exceeds it.
 *
 *   npm run box                      100,000 requests each, about ten minutes; docs/benchmarks.md
 *   node bench/box.mjs --quick       a few seconds each, only printed
 *   --json: for programs   --built: dist/ is there, and others are using it
 *
 * Where no group can be made, `--memory-budget` says what the group would have said.
 */
import { totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startServing } from '../scripts/demo-server.mjs';
import { openMemoryBox } from '../scripts/memory-box.mjs';
import { treeOf } from '../scripts/process-tree.mjs';
import { requestMix } from '../scripts/request-mix.mjs';
import { build, installPackages } from '../scripts/setup.mjs';
import './leave-nothing.mjs';
import { machine, table, writeSection } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    built: { type: 'boolean', default: false },
  },
});

const MIB = 2 ** 20;
const BOX_BYTES = 512 * MIB;
/** After a stall the load catches up: not with hundreds of requests at once, which nobody sends. */
const OUTSTANDING_MAX = 64;
/** What Cofferdam makes of a group's limit. */
const BUDGET_SHARE = 0.9;
const REQUESTS = 100_000;
const SAMPLE_MS = 250;
/** A machine that cannot keep up with the rate must not keep us for ever. */
const PATIENCE = 3;

/**
 * 200 requests/s leak 21 MB/s, which fills the box in some 18 s: also the quick leaky app leaks more
 * than fits. At twice that rate the box is full before any worker is as old as `--min-age`.
 */
const CASES = {
  'Express hello, 4 workers': {
    app: 'test/apps/hello-express.cjs',
    workers: 4,
    ratePerSecond: 1_000,
    quickRequests: 3_000,
    requests: [{ path: '/', verify: ({ body }) => body.toString() === 'hello world' }],
  },
  'examples/leaky-express, 2 workers': {
    app: 'examples/leaky-express/server.js',
    workers: 2,
    ratePerSecond: 200,
    quickRequests: 3_400,
    requests: requestMix(),
  },
};

for (const folder of ['test/apps', 'examples/leaky-express']) await installPackages(folder);
if (!flags.built) await build();
const { startLoad } = await import('../dist/leak/load.js');
const { findMemoryCgroup } = await import('../dist/metrics/cgroup.js');
const { createTreeMeter } = await import('../dist/metrics/tree.js');

const where = `${machine('node bench/box.mjs')}; Node ${process.version}.`;
const results = [];
for (const [name, what] of Object.entries(CASES)) {
  const result = await inBox((box) => measure(what, box));
  results.push({ name, ...result });
}
if (flags.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else {
  const text = `${where}\n\n${report()}`;
  process.stdout.write(`${text}\n`);
  if (!flags.quick) writeSection('box', text);
}

// --- internal ---

/** Runs with a box, or with null where none can be made. */
async function inBox(run) {
  const box = openMemoryBox(findMemoryCgroup(), Math.min(BOX_BYTES, totalmem()));
  try {
    return await run(box);
  } finally {
    await box?.close();
  }
}

async function measure({ app, workers, ratePerSecond, quickRequests, requests }, box) {
  const settings = { workers, ops: 'off' };
  if (box === null) settings['memory-budget'] = Math.floor(BOX_BYTES * BUDGET_SHARE);
  const served = await startServing(app, settings, box?.enter);
  // Never refreshed: the pages of the Node binary then count in full, as in a container, and not
  // less for every other Node on this machine.
  const meter = createTreeMeter();
  let peakBytes = 0;
  const timer = setInterval(() => {
    peakBytes = Math.max(peakBytes, meter.read(treeOf(served.pid))?.totalBytes ?? 0);
  }, SAMPLE_MS);
  try {
    await served.ready;
    const totalRequests = flags.quick ? quickRequests : REQUESTS;
    const load = startLoad({
      url: served.url,
      ratePerSecond,
      totalRequests,
      maxOutstanding: OUTSTANDING_MAX,
      requests,
    });
    const late = sleep((PATIENCE * 1000 * totalRequests) / ratePerSecond, null, { ref: false });
    await Promise.race([load.finished, served.exited, late]);
    const result = await load.stop();
    return {
      version: box?.version ?? null,
      budgetBytes: served.started().budgetBytes,
      budgetFrom: served.started().budgetFrom,
      ...result,
      peakBytes,
      chargedBytes: box?.peakBytes() ?? null,
      oomKills: box?.oomKills() ?? null,
      recycles: served.recycles,
    };
  } finally {
    clearInterval(timer);
    await served.stop();
  }
}

function report() {
  const head = ['512 MiB box', 'served', 'failed', 'p50 ms', 'p99 ms', 'max ms'];
  head.push('peak of the tree, MiB', 'OOM kills', 'recycles', 'budget');
  const rows = results.map((result) => {
    const { name, ok, failed, backlog, latency, peakBytes, oomKills, recycles } = result;
    const reasons = Object.entries(recycles).map(([reason, times]) => `${times} ${reason}`);
    const { p50Ms, p99Ms, maxMs } = latency;
    return [
      name,
      ok,
      failed + backlog,
      p50Ms.toFixed(1),
      p99Ms.toFixed(0),
      maxMs.toFixed(0),
      (peakBytes / MIB).toFixed(0),
      oomKills ?? '–',
      reasons.join(', ') || '0',
      `${(result.budgetBytes / MIB).toFixed(0)} MiB (${result.budgetFrom})`,
    ];
  });
  return table(head, rows);
}

/**
 * The headline: a leaky app at a constant rate inside a memory budget. Who keeps it, and what does
 * it cost the clients?
 *
 *   node bench/budget.mjs             3 minutes each, about 20 minutes; writes docs/benchmarks.md
 *   node bench/budget.mjs --quick     20 seconds each, only printed
 *   --seconds N   --rate N   --only Cofferdam,PM2
 *
 * The budget is not enforced by a cgroup: who exceeds it is shown with what it used, instead of
 * being killed by the kernel, which would only add failures.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { treeOf } from '../scripts/process-tree.mjs';
import { requestMix } from '../scripts/request-mix.mjs';
import { build, installPackages, ROOT } from '../scripts/setup.mjs';
import { BUDGET_CONTENDERS, choose, prepareApp, start } from './contenders.mjs';
import { scratchFolder } from './leave-nothing.mjs';
import { circumstances, table, writeSection } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    rate: { type: 'string', default: '100' },
    only: { type: 'string' },
  },
});
const SECONDS = Number(flags.seconds ?? (flags.quick ? 20 : 180));
const RATE_PER_SECOND = Number(flags.rate);
const BUDGET_BYTES = 512 * 2 ** 20;
const MIB = 2 ** 20;
const SAMPLE_MS = 250;

await installPackages('bench');
await build();
const { startLoad } = await import('../dist/leak/load.js');
const { createTreeMeter } = await import('../dist/metrics/tree.js');
const scratch = scratchFolder();
try {
  const names = choose(BUDGET_CONTENDERS, flags.only);
  const where = circumstances(['node bench/budget.mjs', ...process.argv.slice(2)].join(' '));
  const results = [];
  for (const [index, name] of names.entries()) {
    const result = await measure(BUDGET_CONTENDERS[name], join(scratch, String(index)));
    process.stderr.write(`${name}: ${result.ok} ok, ${result.failed} failed\n`);
    results.push([name, result]);
  }
  const text = `${where}\n\n${report(results)}`;
  if (flags.quick) process.stdout.write(`\n${text}\n`);
  else writeSection('budget', text);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

// --- internal ---

async function measure(contender, home) {
  const folder = prepareApp(join(ROOT, 'examples/leaky-express'), join(home, 'app'));
  const running = await start(contender, folder, join(home, 'home'));
  const meter = createTreeMeter();
  const samples = [];
  const read = () => {
    const memory = meter.read(treeOf(running.pid));
    if (memory !== null) samples.push(memory.totalBytes);
  };
  try {
    await meter.refresh(treeOf(running.pid));
    const timer = setInterval(read, SAMPLE_MS);
    const load = startLoad({
      url: running.url,
      ratePerSecond: RATE_PER_SECOND,
      durationMs: SECONDS * 1000,
      requests: requestMix(),
    });
    const result = await load.finished;
    clearInterval(timer);
    return { ...result, samples, restarts: running.restarts() };
  } finally {
    await running.stop();
  }
}

function report(results) {
  const head = [
    `${RATE_PER_SECOND} requests/s for ${SECONDS} s`,
    'failed',
    'p50 ms',
    'p99 ms',
    'max ms',
    'peak MiB',
    'time above 512 MiB',
    'restarts',
  ];
  const rows = results.map(([name, { failed, failures, backlog, latency, samples, restarts }]) => {
    const over = samples.filter((bytes) => bytes > BUDGET_BYTES).length / samples.length;
    const classes = Object.entries({ ...failures, never_sent: backlog }).filter(([, n]) => n > 0);
    const detail = classes.map(([failure, times]) => `${failure} ${times}`).join(', ');
    const lost = failed + backlog;
    return [
      name,
      lost === 0 ? '0' : `${lost} (${detail})`,
      latency.p50Ms.toFixed(1),
      latency.p99Ms.toFixed(0),
      latency.maxMs.toFixed(0),
      (Math.max(...samples) / MIB).toFixed(0),
      `${(over * 100).toFixed(0)} %`,
      restarts,
    ];
  });
  return table(head, rows);
}

/**
 * Do probes tell the truth in time? Every contender's own readiness check, asked ten times a second
 * on connections of its own, while all is well, while every worker is stuck, during a reload, and in
 * a crash loop. An answer is any HTTP status that comes within a second, as for a kubelet.
 *
 *   node bench/probes.mjs             20 seconds each; writes docs/benchmarks.md
 *   node bench/probes.mjs --quick     5 seconds each, only printed
 *   --seconds N   --only Cofferdam,Watt
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { build, installPackages } from '../scripts/setup.mjs';
import { ask } from './ask.mjs';
import { choose, prepareApp, PROBE_CONTENDERS, start } from './contenders.mjs';
import { scratchFolder } from './leave-nothing.mjs';
import { phpFpmVersion } from './php-fpm.mjs';
import { circumstances, table, writeSection } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    only: { type: 'string' },
  },
});
const SECONDS = Number(flags.seconds ?? (flags.quick ? 5 : 20));
const PERIOD_MS = 100;
/** The default `timeoutSeconds` of a Kubernetes probe. */
const TIMEOUT_MS = 1000;
/** More than there are workers: the shared socket gives some workers two. */
const STUCK_REQUESTS = 8;

/** Its health check needs nothing; two routes hold a worker for longer than any measurement. */
const APP = `
const { createServer } = require('node:http');
createServer((request, response) => {
  if (request.url === '/block') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 90_000);
  if (request.url === '/crash') setImmediate(() => process.exit(1));
  if (request.url === '/slow') return void setTimeout(() => response.end('ok'), 90_000);
  response.end('ok');
}).listen(process.env.PORT, '127.0.0.1');
`;

const disturbances = {
  block: (running, _, signal) => flood(`${running.url}/block`, signal),
  slow: (running, _, signal) => flood(`${running.url}/slow`, signal),
  async reload(running, contender, signal) {
    while (!signal.aborted) {
      contender.reload(running);
      await sleep(2000);
    }
  },
  async crash(running, _, signal) {
    while (!signal.aborted) {
      void probe(`${running.url}/crash`);
      await sleep(200);
    }
  },
};

await installPackages('bench');
await build();
const scratch = scratchFolder();
try {
  const names = choose(PROBE_CONTENDERS, flags.only).filter(isInstalled);
  const command = ['node bench/probes.mjs', ...process.argv.slice(2)].join(' ');
  const where = `${circumstances(command)} php-fpm ${phpFpmVersion() ?? 'not installed'}.`;
  const rows = [];
  for (const [index, name] of names.entries()) {
    rows.push([name, ...(await measure(PROBE_CONTENDERS[name], join(scratch, String(index))))]);
    process.stderr.write(`${rows.at(-1).join(' | ')}\n`);
  }
  const head = ['asked', 'all well', 'loops blocked', 'slow requests', 'reload', 'crash loop'];
  const text = `${where}\n\n${table(head, rows)}`;
  if (flags.quick) process.stdout.write(`\n${text}\n`);
  else writeSection('probes', text);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

// --- internal ---

function isInstalled(name) {
  if (PROBE_CONTENDERS[name].isInstalled?.() !== false) return true;
  process.stderr.write(`${name}: not installed, left out\n`);
  return false;
}

async function measure(contender, home) {
  const app = join(home, 'source');
  mkdirSync(app, { recursive: true });
  writeFileSync(join(app, 'package.json'), '{"name":"app","private":true}');
  writeFileSync(join(app, 'server.js'), APP);
  const folder = prepareApp(app, join(home, 'app'));
  const cells = [];
  for (const disturb of [null, 'block', 'slow', 'reload', 'crash']) {
    if (disturb === 'reload' && contender.reload === undefined) {
      cells.push('–');
      continue;
    }
    const running = await start(contender, folder, join(home, `home-${disturb}`));
    try {
      await sleep(1500);
      cells.push(await probeWhile(running, contender, disturb));
    } finally {
      await running.stop();
    }
  }
  return cells;
}

/** `100 % p99 3 ms`: answers within the time limit, and how long those took that came. */
async function probeWhile(running, contender, disturb) {
  const stop = new AbortController();
  const disturbance = disturbances[disturb]?.(running, contender, stop.signal);
  // Disturbed for good, not just about to be.
  if (disturb !== null) await sleep(1000);
  const probes = [];
  const end = performance.now() + SECONDS * 1000;
  while (performance.now() < end) {
    probes.push(probe(contender.probe(running)));
    await sleep(PERIOD_MS);
  }
  const took = (await Promise.all(probes)).filter((ms) => ms !== null).sort((a, b) => a - b);
  stop.abort();
  await disturbance;
  const rate = (100 * took.length) / probes.length;
  if (took.length === 0) return '0 %';
  const p99 = took[Math.min(took.length - 1, Math.floor(took.length * 0.99))];
  return `${rate.toFixed(rate === 100 ? 0 : 1)} %, p99 ${p99.toFixed(1)} ms`;
}

/** Keeps every worker busy: requests that do not end while the measurement lasts. */
async function flood(url, signal) {
  await Promise.all(
    Array.from({ length: STUCK_REQUESTS }, () => ask(url, signal).catch(() => null)),
  );
}

/** Milliseconds until the whole answer was there; null when there was none in time. */
async function probe(url) {
  const startedAt = performance.now();
  try {
    await ask(url, AbortSignal.timeout(TIMEOUT_MS));
    return performance.now() - startedAt;
  } catch {
    return null;
  }
}

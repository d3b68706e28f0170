/**
 * What a scrape of /metrics costs when there are many workers: its time and its size.
 *
 *   node bench/scrape.mjs [--workers 64] [--quick: only printed]
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { build, installPackages } from '../scripts/setup.mjs';
import { cofferdamPlan, prepareApp, start } from './contenders.mjs';
import { scratchFolder } from './leave-nothing.mjs';
import { circumstances, median, writeSection } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workers: { type: 'string', default: '64' },
  },
});
const SCRAPES = 100;
const READY_TIMEOUT_MS = 120_000;
const POLL_MS = 250;

const APP = `
require('node:http').createServer((_, response) => response.end('ok'))
  .listen(process.env.PORT, '127.0.0.1');
`;

await installPackages('bench');
await build();
const scratch = scratchFolder();
try {
  const source = join(scratch, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'package.json'), '{"name":"app","private":true}');
  writeFileSync(join(source, 'server.js'), APP);
  const folder = prepareApp(source, join(scratch, 'app'));
  const where = circumstances(['node bench/scrape.mjs', ...process.argv.slice(2)].join(' '));
  const workers = Number(flags.workers);
  const running = await start({ plan: cofferdamPlan([], workers) }, folder, join(scratch, 'home'));
  try {
    await allReady(running.ops, workers);
    const text = `${where}\n\n${await scrape(running.ops, workers)}`;
    process.stdout.write(`${text}\n`);
    if (!flags.quick) writeSection('scrape', text);
  } finally {
    await running.stop();
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

// --- internal ---

async function allReady(ops, workers) {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const status = JSON.parse(await read(`${ops}/status`));
    const ready = status.workers.filter(({ state }) => state === 'ready').length;
    if (ready === workers) return;
    if (performance.now() > deadline) throw new Error(`${ready} of ${workers} workers are ready`);
    await sleep(POLL_MS);
  }
}

/** One after another, each on a connection of its own. */
async function scrape(ops, workers) {
  const took = [];
  let bytes = 0;
  for (let count = 0; count < SCRAPES; count += 1) {
    const startedAt = performance.now();
    const body = await read(`${ops}/metrics`);
    took.push(performance.now() - startedAt);
    bytes = Buffer.byteLength(body);
    await sleep(20);
  }
  const highest = Math.max(...took).toFixed(1);
  const size = `${(bytes / 1024).toFixed(1)} KiB`;
  const of = `${workers} workers, ${SCRAPES} scrapes`;
  return `${of}: ${median(took).toFixed(1)} ms (median), ${highest} ms (the slowest), ${size}.`;
}

function read(url) {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk) => (body += chunk));
      response.once('error', reject).once('end', () => resolve(body));
    });
    request.once('error', reject);
  });
}

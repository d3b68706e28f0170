/**
 * A burst from idle: forty requests of one second at once, and how long it takes until all of them
 * are being served. `node bench/burst.mjs [--rounds 3] [--write]` (a few minutes).
 */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ROOT } from '../scripts/setup.mjs';
import { ask } from './ask.mjs';
import { NODE } from './contenders.mjs';
import { scratchFolder } from './leave-nothing.mjs';
import { phpFpmBurstPlan, phpFpmVersion } from './php-fpm.mjs';
import { circumstances, spread, table, writeSection } from './report.mjs';

const REQUESTS = 40;
/** Nobody waits longer for a burst; the slowest seen took half a minute. */
const BURST_MS = 60_000;
const START_MS = 20_000;
/** After the last sign of life: longer than the idle timeout of the sleepers. */
const REST_MS = 5000;

/** What is slow: an answer that is waited for, or the event loop itself, as PHP's sleep() is. */
const WAIT = 'await new Promise((resolve) => setTimeout(resolve, 1000));';
const BLOCK = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);';

const CONTENDERS = {
  'php-fpm dynamic, sleep(1)': (place) => phpFpmBurstPlan(place, 'dynamic', REQUESTS),
  'php-fpm ondemand, sleep(1)': (place) => phpFpmBurstPlan(place, 'ondemand', REQUESTS),
  'Cofferdam dynamic, await': (place) => cofferdam(place, WAIT, 'dynamic', '1..8'),
  'Cofferdam ondemand, await': (place) => cofferdam(place, WAIT, 'ondemand', '8'),
  'Cofferdam dynamic, blocking': (place) => cofferdam(place, BLOCK, 'dynamic', '1..40'),
  'Cofferdam ondemand, blocking': (place) => cofferdam(place, BLOCK, 'ondemand', '40'),
};

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, write: { type: 'boolean' } },
});
const rounds = Number(values.rounds);
const said = circumstances(`node bench/burst.mjs --rounds ${rounds}`);
const results = new Map(Object.keys(CONTENDERS).map((name) => [name, []]));
for (let round = 0; round < rounds; round += 1) {
  for (const [name, plan] of Object.entries(CONTENDERS)) {
    const result = await play(plan);
    console.error(name, result);
    results.get(name).push(result);
  }
}
const rows = [...results].map(([name, all]) => [
  name,
  spread(all.map(({ servedMs }) => servedMs)),
  spread(all.map(({ answeredMs }) => answeredMs)),
  spread(all.map(({ failed }) => failed)),
]);
const head = ['40 requests of 1 s at once', 'all being served, ms', 'all answered, ms', 'failed'];
const text = `${said} php-fpm ${phpFpmVersion()}.\n\n${table(head, rows)}`;
console.log(text);
if (values.write) writeSection('burst', text);

// --- internal ---

async function play(plan) {
  const folder = scratchFolder();
  const starts = join(folder, 'starts');
  writeFileSync(starts, '');
  const { command, args, url, env, files } = plan({ folder, starts, port: await freePort() });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const child = spawn(command, args, { stdio: 'ignore', env: { ...process.env, ...env } });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await firstAnswer(url);
    await sleep(REST_MS);
    writeFileSync(starts, '');
    const begun = Date.now();
    const burst = Array.from({ length: REQUESTS }, () => ask(url, AbortSignal.timeout(BURST_MS)));
    const settled = await Promise.allSettled(burst);
    const times = readFileSync(starts, 'utf8').trim().split('\n').map(Number);
    return {
      servedMs: times.length < REQUESTS ? null : Math.max(...times) - begun,
      answeredMs: Date.now() - begun,
      failed: settled.filter(({ status }) => status === 'rejected').length,
    };
  } finally {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), START_MS);
    await ended;
    clearTimeout(late);
    rmSync(folder, { recursive: true });
  }
}

function cofferdam({ folder, starts, port }, wait, strategy, workers) {
  const app = `
    const { appendFileSync } = require('node:fs');
    require('node:http').createServer(async (_, response) => {
      appendFileSync(${JSON.stringify(starts)}, Date.now() + '\\n');
      ${wait}
      response.end('ok');
    }).listen(process.env.PORT);`;
  const scaling = ['--strategy', strategy, '--workers', workers, '--idle-timeout', '2s'];
  const address = ['--host', '127.0.0.1', '--port', String(port), '--ops', 'off'];
  return {
    command: NODE,
    args: [
      join(ROOT, 'dist/cli/main.js'),
      'serve',
      join(folder, 'app.cjs'),
      ...scaling,
      ...address,
      '--name',
      `burst-${process.pid}`,
    ],
    url: `http://127.0.0.1:${port}/`,
    files: { 'app.cjs': app },
  };
}

async function firstAnswer(url) {
  const end = Date.now() + START_MS;
  for (;;) {
    try {
      return await ask(url, AbortSignal.timeout(START_MS));
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(100);
    }
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/**
 * What the agent costs the app that it lives in: the same app with and without it, side by side.
 *
 *   node bench/agent-cost.mjs [--starts 5] [--app hello|express] [--only a,b] [--node PATH]
 *
 * All servers run side by side and are loaded in turn, in short bursts: a machine that is busy with
 * something else hits all of them alike. They are started anew several times, for two processes of
 * the same program may differ by 20 % as long as they live. Read the ratios, which are medians over
 * all bursts, and not the times.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { treeOf } from '../scripts/process-tree.mjs';
import { build, installPackages, ROOT } from '../scripts/setup.mjs';
import { choose, cofferdamPlan, CONTENDERS, NODE, prepareApp, start } from './contenders.mjs';
import { scratchFolder } from './leave-nothing.mjs';
import { circumstances, median, table } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    starts: { type: 'string', default: '5' },
    app: { type: 'string', default: 'hello' },
    only: { type: 'string' },
    node: { type: 'string', default: NODE },
  },
});
const STARTS = Number(flags.starts);
const ROUNDS = 3;
const BURST_SECONDS = 1;
/** Until V8 has compiled what is hot, and the young generation has its size. */
const WARM_UP_SECONDS = 2;
const MIB = 2 ** 20;

const MODES = { 'keep-alive': [], 'connection per request': ['-H', 'Connection: close'] };

/** Each is compared with the one it names. */
const PAIRS = {
  'Cofferdam (1 worker)': 'node (1 process)',
  'Cofferdam (2 workers)': 'cluster (shared socket)',
};

const ALL = {
  'node (1 process)': CONTENDERS['node (1 process)'],
  'Cofferdam (1 worker)': { plan: cofferdamPlan([], 1) },
  'cluster (shared socket)': CONTENDERS['cluster (shared socket)'],
  'Cofferdam (2 workers)': { plan: cofferdamPlan([], 2) },
};

await installPackages('bench');
await build();
const { readSmapsRollup } = await import('../dist/metrics/process-memory.js');
const scratch = scratchFolder();
const names = choose(ALL, flags.only);
/** By mode and name: what {@link burst} returns, once for each round of each start. */
const samples = new Map(
  Object.keys(MODES).map((mode) => [mode, new Map(names.map((name) => [name, []]))]),
);
let servers = [];
try {
  process.stdout.write(`${circumstances(`node ${process.argv.slice(1).join(' ')}`)}\n`);
  process.stdout.write(`${flags.app}, ${flags.node}\n`);
  for (let start = 0; start < STARTS; start += 1) {
    for (const name of names) servers.push(await serve(name, join(scratch, `${start}-${name}`)));
    for (const [mode, header] of Object.entries(MODES)) await load(samples.get(mode), header);
    await stopAll();
  }
  for (const [mode, taken] of samples) process.stdout.write(`\n${tableOf(mode, taken)}\n`);
} finally {
  await stopAll();
  rmSync(scratch, { recursive: true, force: true });
}

// --- internal ---

async function serve(name, home) {
  const folder = prepareApp(join(ROOT, 'bench/apps', flags.app), join(home, 'app'));
  const { plan } = ALL[name];
  const command = { plan: (options) => ({ ...plan(options), command: flags.node }) };
  return { name, running: await start(command, folder, join(home, 'home')) };
}

async function stopAll() {
  const running = servers;
  servers = [];
  for (const server of running) await server.running.stop();
}

async function load(taken, header) {
  for (const { running } of servers) await wrk(running.url, WARM_UP_SECONDS, header);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let index = 0; index < servers.length; index += 1) {
      const { name, running } = servers[(index + round) % servers.length];
      taken.get(name).push(await burst(running, header));
    }
  }
}

function tableOf(mode, taken) {
  const head = [mode, 'CPU µs/request', 'CPU ratio', 'rate ratio', 'anonymous MiB'];
  return table(
    head,
    [...taken].map(([name, bursts]) => row(name, bursts, taken.get(PAIRS[name]))),
  );
}

async function burst(running, header) {
  const before = cpuOf(running.pid);
  const requests = await wrk(running.url, BURST_SECONDS, header);
  const micros = (cpuOf(running.pid) - before) / requests;
  const memory = await Promise.all(treeOf(running.pid).map((pid) => readSmapsRollup(pid)));
  const bytes = memory.reduce((sum, each) => sum + (each?.pssAnonBytes ?? 0), 0);
  return { micros, requests, bytes };
}

function row(name, taken, peer) {
  const of = (key) => median(taken.map((sample) => sample[key]));
  const ratio = (key) =>
    peer === undefined
      ? '–'
      : median(taken.map((sample, round) => sample[key] / peer[round][key])).toFixed(3);
  const memory = (of('bytes') / MIB).toFixed(0);
  return [name, of('micros').toFixed(1), ratio('micros'), ratio('requests'), memory];
}

async function wrk(url, seconds, header) {
  const args = ['-t1', '-c32', `-d${seconds}s`, ...header, url];
  const { stdout } = await promisify(execFile)('wrk', args);
  return Number(/(\d+) requests in/.exec(stdout)?.[1]);
}

/** Microseconds of all threads that live: the clock ticks of `stat` are too long for a burst. */
function cpuOf(root) {
  let nanos = 0;
  for (const pid of treeOf(root)) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) nanos += threadNanos(pid, thread);
  }
  return nanos / 1e3;
}

function threadNanos(pid, thread) {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  } catch {
    // It ended in the meantime.
    return 0;
  }
}

/**
 * What a process manager costs when nothing goes wrong: throughput, CPU, latency, memory, start.
 *
 *   node bench/throughput.mjs            5 rounds, about 15 minutes; writes docs/benchmarks.md
 *   node bench/throughput.mjs --quick    one short round, only printed
 *   --rounds N   --only Cofferdam,PM2
 *
 * Rounds are interleaved, and each begins with another contender, so that a machine that gets slower
 * or faster with time is nobody's advantage.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cpuSecondsOf, treeOf } from '../scripts/process-tree.mjs';
import { build, installPackages, ROOT } from '../scripts/setup.mjs';
import { COFFERDAM, CONTENDERS, choose, prepareApp, start } from './contenders.mjs';
import { scratchFolder } from './leave-nothing.mjs';
import { circumstances, median, spread, table, writeSection } from './report.mjs';
import { wrk } from './wrk.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
  },
});
const ROUNDS = Number(flags.rounds ?? (flags.quick ? 1 : 5));
const RUN_SECONDS = flags.quick ? 1 : 5;
/** Until V8 has compiled what is hot. */
const WARM_UP_SECONDS = flags.quick ? 1 : 2;
const CONNECTIONS = 32;
const MIB = 2 ** 20;

const APPS = { 'hello world': 'hello', Express: 'express' };
const MODES = { 'keep-alive': [], 'connection per request': ['-H', 'Connection: close'] };

await installPackages('bench');
await build();
const { readSmapsRollup } = await import('../dist/metrics/process-memory.js');
const scratch = scratchFolder();
try {
  const names = choose(CONTENDERS, flags.only);
  const where = circumstances(['node bench/throughput.mjs', ...process.argv.slice(2)].join(' '));
  const samples = await runRounds(names);
  const text = `${where}\n\n${report(names, samples)}`;
  if (flags.quick) process.stdout.write(`\n${text}\n`);
  else writeSection('throughput', text);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

// --- internal ---

/** Samples by app and contender: what {@link measure} returns, once for each round. */
async function runRounds(names) {
  const samples = {};
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [app, folder] of Object.entries(APPS)) {
      for (let index = 0; index < names.length; index += 1) {
        const name = names[(index + round) % names.length];
        const home = join(scratch, `${folder}-${round}-${index}`);
        const copy = prepareApp(join(ROOT, 'bench/apps', folder), join(home, 'app'));
        const sample = await measure(CONTENDERS[name], copy, join(home, 'home'));
        ((samples[app] ??= {})[name] ??= []).push(sample);
        process.stderr.write(`round ${round + 1}/${ROUNDS} ${app}, ${name}: ${inShort(sample)}\n`);
      }
    }
  }
  return samples;
}

async function measure(contender, folder, home) {
  const running = await start(contender, folder, home);
  try {
    const modes = {};
    for (const [mode, args] of Object.entries(MODES)) {
      await wrk(running.url, { connections: CONNECTIONS, args, seconds: WARM_UP_SECONDS });
      const before = cpuSecondsOf(running.pid);
      const result = await wrk(running.url, {
        connections: CONNECTIONS,
        args,
        seconds: RUN_SECONDS,
      });
      if (result.failed > 0) process.stderr.write(`  ${result.failed} failed requests\n`);
      const seconds = cpuSecondsOf(running.pid) - before;
      modes[mode] = { ...result, cpuMicroseconds: (seconds * 1e6) / result.requests };
    }
    return { startMs: running.startMs, modes, ...(await memoryOf(running.pid, contender)) };
  } finally {
    await running.stop();
  }
}

async function memoryOf(pid, contender) {
  const all = await Promise.all(treeOf(pid).map((each) => readSmapsRollup(each)));
  const pssBytes = all.reduce((sum, memory) => sum + (memory?.pssBytes ?? 0), 0);
  return { pssBytes, supervisorBytes: contender.supervises ? all[0].privateBytes : null };
}

function inShort(sample) {
  const modes = Object.values(sample.modes);
  const rates = modes.map((mode) => `${mode.perSecond.toFixed(0)}/s`);
  return `${rates.join(', ')}, first answer after ${sample.startMs.toFixed(0)} ms`;
}

function report(names, samples) {
  const parts = [];
  for (const app of Object.keys(APPS)) {
    for (const mode of Object.keys(MODES)) parts.push(modeTable(names, samples[app], app, mode));
    parts.push(costTable(names, samples[app], app));
  }
  parts.push(ratioTable(names, samples, 'requests/s', 'perSecond'));
  parts.push(ratioTable(names, samples, 'CPU per request', 'cpuMicroseconds'));
  return parts.join('\n\n');
}

function modeTable(names, samples, app, mode) {
  const head = [`${app}, ${mode}`, 'requests/s', 'CPU µs/request', 'p50 ms', 'p99 ms', 'failed'];
  const rows = names.map((name) => {
    const column = (key) => samples[name].map((sample) => sample.modes[mode][key]);
    const failed = column('failed').reduce((sum, count) => sum + count, 0);
    const latencies = [spread(column('p50Ms'), 2), spread(column('p99Ms'), 2)];
    const cost = spread(column('cpuMicroseconds'), 1);
    return [name, spread(column('perSecond')), cost, ...latencies, failed];
  });
  return table(head, rows);
}

function costTable(names, samples, app) {
  const head = [app, 'memory of the tree, PSS, MiB', 'supervisor, private, MiB', 'first 200, ms'];
  const rows = names.map((name) => {
    const column = (key, unit) =>
      samples[name].map((sample) => (sample[key] === null ? null : sample[key] / unit));
    const memory = [spread(column('pssBytes', MIB)), spread(column('supervisorBytes', MIB), 1)];
    return [name, ...memory, spread(column('startMs', 1))];
  });
  return table(head, rows);
}

/** Medians of Cofferdam divided by those of each peer. */
function ratioTable(names, samples, title, key) {
  const peers = names.filter((name) => name !== COFFERDAM);
  if (!names.includes(COFFERDAM)) return '';
  const cases = Object.keys(APPS).flatMap((app) => Object.keys(MODES).map((mode) => [app, mode]));
  const head = [`Cofferdam ÷ peer, ${title}`, ...cases.map(([app, mode]) => `${app}, ${mode}`)];
  const middle = (app, mode, name) =>
    median(samples[app][name].map((sample) => sample.modes[mode][key]));
  const ratio = (app, mode, peer) => middle(app, mode, COFFERDAM) / middle(app, mode, peer);
  const rows = peers.map((peer) => [
    peer,
    ...cases.map(([app, mode]) => ratio(app, mode, peer).toFixed(2)),
  ]);
  return table(head, rows);
}

/**
 * What `cofferdam probe` costs beside the Node that runs it: CPU and time of both, in turn.
 *
 *   node bench/probe-cost.mjs [--rounds 30]     only printed; some seconds
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build, ROOT } from '../scripts/setup.mjs';
import { scratchFolder } from './leave-nothing.mjs';
import { machine, median } from './report.mjs';

const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '30' } } });
const CLI = join(ROOT, 'dist/cli/main.js');
const APP = "require('node:http').createServer((_, answer) => answer.end('ok')).listen(0);";

await build();
const folder = scratchFolder();
writeFileSync(join(folder, 'server.js'), APP);
mkdirSync(join(folder, 'run'), { mode: 0o700 });
const env = { ...process.env, XDG_RUNTIME_DIR: join(folder, 'run') };
const name = ['--name', `probe-${process.pid}`];
const serving = [
  CLI,
  'serve',
  join(folder, 'server.js'),
  ...name,
  '--workers',
  '1',
  '--ops',
  'off',
];
const served = spawn(process.execPath, [...serving, '--log', 'json'], { env });
const log = [];
for await (const chunk of served.stderr) {
  log.push(chunk);
  if (Buffer.concat(log).includes('"all_ready"')) break;
}

const runs = {
  'node -e 0': ['-e', '0'],
  'cofferdam probe ready': [CLI, 'probe', 'ready', ...name],
};
const samples = Object.fromEntries(Object.keys(runs).map((each) => [each, []]));
for (let round = 0; round < Number(flags.rounds); round += 1) {
  for (const [each, args] of Object.entries(runs)) samples[each].push(measure(each, args));
}
served.kill('SIGTERM');
const [bare, probe] = Object.values(samples).map((taken) => ({
  tookMs: median(taken.map(({ tookMs }) => tookMs)),
  // Ticks of 10 ms: only their mean says anything.
  cpuMs: taken.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / taken.length,
}));
const own = { tookMs: probe.tookMs - bare.tookMs, cpuMs: probe.cpuMs - bare.cpuMs };
process.stdout.write(`${machine('node bench/probe-cost.mjs')}; Node ${process.version}.\n`);
for (const [what, { tookMs, cpuMs }] of Object.entries({ 'node -e 0': bare, probe, own })) {
  process.stdout.write(`${what}: ${tookMs.toFixed(0)} ms, ${cpuMs.toFixed(0)} ms of CPU\n`);
}

// --- internal ---

function measure(what, args) {
  const cpuBefore = cpuMsOfChildren();
  const startedAt = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { env });
  const tookMs = performance.now() - startedAt;
  if (status !== 0) throw new Error(`${what} ended with ${status}: ${String(stderr)}`);
  return { tookMs, cpuMs: cpuMsOfChildren() - cpuBefore };
}

/** Of those that have ended and were waited for. */
function cpuMsOfChildren() {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(13, 15);
  return (Number(user) + Number(system)) * 10;
}

/** Who is compared: how each is started with two workers, and how nothing is left of it. */
import { spawn } from 'node:child_process';
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../scripts/free-port.mjs';
import { treeOf } from '../scripts/process-tree.mjs';
import { ROOT } from '../scripts/setup.mjs';
import { ask } from './ask.mjs';
import { killAtExit } from './leave-nothing.mjs';
import { phpFpmPlan, phpFpmReload, phpFpmVersion } from './php-fpm.mjs';

const BENCH = join(ROOT, 'bench');
const MODULES = join(BENCH, 'node_modules');
const MIB = 2 ** 20;

/** The one Node that runs all of them (Watt wants 22.19 or newer). */
export const NODE = join(MODULES, 'node/bin/node');
export const WORKERS = 2;
/** The tables tell them apart by these names. */
export const COFFERDAM = 'Cofferdam';

/** Workers stay stuck while probes are measured; at the end they are killed. */
const WATCHED = ['--unresponsive-timeout', 'off', '--drain-timeout', '1s', '--kill-timeout', '1s'];

const CHECKED = [...WATCHED, '--health-path', '/health', '--health-timeout', '900ms'];

const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 3;
const STOP_TIMEOUT_MS = 10_000;

/**
 * `plan({folder, port, opsPort, home})` says what to run: arguments for Node, `env`, `files` to put into the
 * app's folder, `daemon` (the file with the process id of what the command leaves behind), and
 * `restarts`, which counts them in the output. `command`, `url`, `ops`: where it is neither Node nor
 * HTTP. `supervises`: the root process serves no requests. `isInstalled`: what npm cannot bring.
 */
export const CONTENDERS = {
  'node (1 process)': { plan: () => ({ args: ['server.js'] }), supervises: false },
  'cluster (round robin)': { plan: clusterPlan('rr'), supervises: true },
  'cluster (shared socket)': { plan: clusterPlan('none'), supervises: true },
  PM2: { plan: pm2Plan(), supervises: true },
  Watt: { plan: wattPlan(), supervises: false },
  [COFFERDAM]: { plan: cofferdamPlan(), supervises: true },
};

/**
 * Who keeps a leaky app within a budget. Each gets what its manual offers, set so that two workers
 * fit into 512 MiB; `fast` variants also look far more often than their defaults do.
 */
export const BUDGET_CONTENDERS = {
  PM2: { plan: pm2Plan({ args: ['--max-memory-restart', '200M'] }) },
  'PM2 (looks each 2 s)': {
    plan: pm2Plan({
      args: ['--max-memory-restart', '200M'],
      env: { PM2_WORKER_INTERVAL: '2000' },
    }),
  },
  Watt: { plan: wattPlan(wattHeap({})) },
  'Watt (looks each second)': {
    plan: wattPlan(wattHeap({ maxHeapUsed: 0.7, interval: 1000, maxUnhealthyChecks: 2 })),
  },
  [COFFERDAM]: { plan: cofferdamPlan(['--memory-budget', '512MiB', '--max-memory', '150MiB']) },
};

const PHP_FPM = {
  plan: phpFpmPlan,
  reload: phpFpmReload,
  isInstalled: () => phpFpmVersion() !== null,
};

/**
 * What each offers to ask for its health: `probe` says where. PM2 and `node:cluster` offer nothing,
 * so there the app itself is asked, as its users do.
 */
export const PROBE_CONTENDERS = {
  'node:cluster (the app)': { plan: clusterPlan('rr'), probe: ({ url }) => url },
  'PM2 (the app)': { plan: pm2Plan(), probe: ({ url }) => url, reload: pm2Reload },
  'Watt /ready': { plan: wattPlan(undefined, true), probe: ({ ops }) => `${ops}/ready` },
  'php-fpm ping.path': {
    ...PHP_FPM,
    probe: ({ url }) => new URL('/ping', url).href,
  },
  'php-fpm pm.status_listen': { ...PHP_FPM, probe: ({ ops }) => `${ops}/status` },
  'Cofferdam /livez': {
    plan: cofferdamPlan(WATCHED),
    probe: ({ ops }) => `${ops}/livez`,
    reload: cofferdamReload,
  },
  'Cofferdam /readyz': {
    plan: cofferdamPlan(WATCHED),
    probe: ({ ops }) => `${ops}/readyz`,
    reload: cofferdamReload,
  },
  'Cofferdam health (priority)': {
    plan: cofferdamPlan(CHECKED),
    probe: ({ ops }) => `${ops}/health`,
    reload: cofferdamReload,
  },
  'Cofferdam health (reserved)': {
    plan: cofferdamPlan([...CHECKED, '--health-mode', 'reserved']),
    probe: ({ ops }) => `${ops}/health`,
    reload: cofferdamReload,
  },
};

/** The contenders of `--only a,b`, all without it. */
export function choose(contenders, only) {
  const all = Object.keys(contenders);
  const names = only?.split(',') ?? all;
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length === 0) return names;
  throw new Error(`no contender ${unknown.join(', ')}; there are: ${all.join(', ')}`);
}

/** Copies an app to where every contender can add its own files to it. */
export function prepareApp(source, folder) {
  mkdirSync(folder, { recursive: true });
  for (const file of ['server.js', 'package.json']) {
    cpSync(join(source, file), join(folder, file));
  }
  symlinkSync(MODULES, join(folder, 'node_modules'));
  return folder;
}

/** Starts a contender and waits for its first answer; `startMs` is the time until then. */
export async function start(contender, folder, home) {
  const [port, opsPort] = [await freePort(), await freePort()];
  mkdirSync(home, { recursive: true });
  const plan = contender.plan({ folder, port, opsPort, home });
  for (const [name, content] of Object.entries(plan.files ?? {})) {
    const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2);
    writeFileSync(join(folder, name), text);
  }
  const logFile = join(home, 'output.log');
  const log = openSync(logFile, 'w');
  const env = { ...process.env, NODE_ENV: 'production', PORT: String(port), ...plan.env };
  const startedAt = performance.now();
  const child = spawn(plan.command ?? NODE, plan.args, {
    cwd: folder,
    env,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const forget = killAtExit(() => (plan.daemon === undefined ? child.pid : pidIn(plan.daemon)));
  const readLog = () => readFileSync(logFile, 'utf8');
  const { url = `http://127.0.0.1:${port}`, ops = `http://127.0.0.1:${opsPort}` } = plan;
  try {
    await waitForAnswer(url, startedAt + READY_TIMEOUT_MS);
  } catch {
    await endTree(child.pid);
    throw new Error(`it did not answer:\n${readLog().slice(-2_000)}`);
  }
  const startMs = performance.now() - startedAt;
  const pid = plan.daemon === undefined ? child.pid : await readPid(plan.daemon);
  return {
    url,
    /** Where its health is told, if anywhere. */
    ops,
    home,
    pid,
    startMs,
    restarts: () => plan.restarts?.(readLog()) ?? 0,
    async stop() {
      await endTree(pid);
      forget();
    },
  };
}

/** The rest of the flags in `extra`. */
export function cofferdamPlan(extra = [], workers = WORKERS) {
  return ({ port, opsPort }) => {
    const address = ['--port', port, '--host', '127.0.0.1', '--name', `bench-${port}`];
    const ops = ['--ops', `127.0.0.1:${opsPort}`];
    const flags = ['--workers', workers, '--log', 'json', ...address, ...ops, ...extra].map(String);
    return {
      args: [join(ROOT, 'dist/cli/main.js'), 'serve', 'server.js', ...flags],
      restarts: (log) => occurrences(log, '"event":"recycled"'),
    };
  };
}

// --- internal ---

function clusterPlan(policy) {
  return () => ({
    args: [join(BENCH, 'cluster.mjs'), 'server.js'],
    env: { NODE_CLUSTER_SCHED_POLICY: policy },
  });
}

function pm2Plan({ args = [], env = {} } = {}) {
  return ({ home }) => {
    const cluster = ['start', 'server.js', '-i', String(WORKERS), '--name', 'bench'];
    return {
      args: [join(MODULES, 'pm2/bin/pm2'), ...cluster, ...args],
      env: { PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true', ...env },
      daemon: join(home, 'pm2.pid'),
      restarts: () => {
        const log = readFileSync(join(home, 'pm2.log'), 'utf8');
        return occurrences(log, '] online') - WORKERS;
      },
    };
  };
}

function pm2Reload({ home }) {
  const env = { ...process.env, PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true' };
  spawn(NODE, [join(MODULES, 'pm2/bin/pm2'), 'reload', 'bench'], { env, stdio: 'ignore' });
}

function cofferdamReload({ pid }) {
  process.kill(pid, 'SIGUSR2');
}

function wattPlan(health, ready = false) {
  return ({ port, opsPort }) => ({
    args: [join(MODULES, 'wattpm/bin/cli.js'), 'start'],
    files: {
      'watt.json': {
        $schema: 'https://schemas.platformatic.dev/@platformatic/node/3.65.0.json',
        node: { main: 'server.js' },
        runtime: {
          workers: WORKERS,
          server: { hostname: '127.0.0.1', port },
          ...(ready && { metrics: { hostname: '127.0.0.1', port: opsPort } }),
          logger: { level: 'info' },
          ...(health === undefined ? {} : { health }),
        },
      },
    },
    restarts: (log) => occurrences(log, '"Started the worker') - WORKERS,
  });
}

/** One process of about 150 MiB and two heaps: all that Watt can be told about memory. */
function wattHeap(more) {
  return { maxHeapTotal: 180 * MIB, maxYoungGeneration: 32 * MIB, ...more };
}

function occurrences(text, part) {
  return text.split(part).length - 1;
}

async function waitForAnswer(url, deadline) {
  for (;;) {
    if ((await ask(url).catch(() => null)) === 200) return;
    if (performance.now() > deadline) throw new Error('no answer');
    await sleep(READY_POLL_MS);
  }
}

/** PM2 writes the file before its workers answer, so it is there; be patient all the same. */
async function readPid(file) {
  for (let tries = 0; tries < 100; tries += 1) {
    const pid = pidIn(file);
    if (pid > 0) return pid;
    await sleep(20);
  }
  throw new Error(`no process id in ${file}`);
}

/** 0 when it is not written yet. */
function pidIn(file) {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return 0;
  }
}

/** TERM to the root, to the others when it has gone, then KILL to what is left of its tree. */
async function endTree(pid) {
  const tree = treeOf(pid);
  signal(pid, 'SIGTERM');
  const deadline = performance.now() + STOP_TIMEOUT_MS;
  while (isAlive(pid) && performance.now() < deadline) await sleep(50);
  // php-fpm beside nginx is nobody's to end.
  for (const each of tree.filter(isAlive)) signal(each, 'SIGTERM');
  while (tree.some(isAlive) && performance.now() < deadline) await sleep(50);
  for (const each of tree) signal(each, 'SIGKILL');
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch {
    // It has gone by itself.
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

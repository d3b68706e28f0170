/**
 * PHP: what the gateway and its php-cgi do beside nginx with php-fpm and lighttpd with php-cgi.
 *
 *   node bench/php.mjs            3 rounds, about 14 minutes; writes docs/benchmarks.md
 *   node bench/php.mjs --quick    one short round, only printed
 *   --rounds N   --seconds N   --only Cofferdam,...   --cases hello,crowd,...
 *
 * Rounds are interleaved, and each begins with another contender.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { hasMediaWiki, installMediaWiki, MEDIAWIKI } from '../scripts/mediawiki.mjs';
import { cpuSecondsOf, treeOf } from '../scripts/process-tree.mjs';
import { build, installPackages, ROOT } from '../scripts/setup.mjs';
import { choose, COFFERDAM, start } from './contenders.mjs';
import { impatient } from './impatient.mjs';
import { scratchFolder } from './leave-nothing.mjs';
import { missingPackages, PHP_CONTENDERS, phpVersions, WORKERS } from './php-contenders.mjs';
import { circumstances, median, spread, table, writeSection } from './report.mjs';
import { wrk } from './wrk.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    cases: { type: 'string' },
  },
});
const ROUNDS = Number(flags.rounds ?? (flags.quick ? 1 : 3));
const RUN_SECONDS = Number(flags.seconds ?? (flags.quick ? 2 : 5));
/** Every worker shall have been replaced at least three times. */
const RECYCLING_SECONDS = RUN_SECONDS * 4;
const WARM_UP_SECONDS = 1;
/** Eight for each worker: most of them wait. */
const CONNECTIONS = 32;
/** Fits into every queue, and waits for more than a second. */
const CROWD = 256;
/** Twice as many as four workers can answer, by the clock; who waits for longer leaves. */
const FLOOD = { rate: 400, patienceMs: 1000 };
/** Half a second of work, to whoever can be told how many may wait, or for how long. */
const SHORT_QUEUE = { length: 100, timeout: '500ms' };
/** Workers of others go on for those who left when the warm-up was over: until they are through. */
const SETTLE_MS = 3000;
const MAX_REQUESTS = 300;
const MIB = 2 ** 20;

const SCRIPTS = { root: join(ROOT, 'bench/apps/php'), env: {} };
const UPLOAD = ['-s', join(ROOT, 'bench/upload.lua')];

/** `app`: which contenders are started for it. Cases of the same app run one after the other. */
const CASES = {
  hello: { title: 'hello', path: '/hello.php' },
  wait: { title: 'a page that waits 20 ms', path: '/wait.php' },
  download: { title: '1 MiB download', path: '/download.php' },
  upload: { title: '1 MiB upload', path: '/upload.php', args: UPLOAD },
  crowd: {
    title: `the 20 ms page, ${CROWD} connections`,
    path: '/wait.php',
    connections: CROWD,
    warmUp: 0,
  },
  flood: {
    title: `the 20 ms page, ${FLOOD.rate} requests/s, given up after ${FLOOD.patienceMs} ms`,
    path: '/wait.php',
    app: 'flood',
    flood: FLOOD,
  },
  wiki: {
    title: "MediaWiki's main page",
    path: '/index.php?title=Main_Page',
    app: 'wiki',
    // The first pages take seconds: everybody compiles, and fills the caches of the wiki.
    warmUp: 8,
    settles: true,
  },
  recycling: {
    title: `20 ms page, a new worker after ${MAX_REQUESTS} requests`,
    path: '/wait.php',
    app: 'recycling',
    seconds: RECYCLING_SECONDS,
  },
};

const names = choose(PHP_CONTENDERS, flags.only);
const keys = choose(CASES, flags.cases).filter((key) => key !== 'wiki' || hasMediaWiki());
const missing = missingPackages(names);
if (missing.length > 0) {
  process.stderr.write(`apt-get install --no-install-recommends ${missing.join(' ')}\n`);
  process.exit(1);
}
await installPackages('bench');
await build();
const { readSmapsRollup } = await import('../dist/metrics/process-memory.js');
const scratch = scratchFolder();
try {
  const command = ['node bench/php.mjs', ...process.argv.slice(2)].join(' ');
  const where = `${circumstances(command)} ${phpVersions()}; ${WORKERS} PHP workers each.`;
  const samples = await runRounds(names, keys);
  const text = `${where}\n\n${report(names, keys, samples)}`;
  if (flags.quick) process.stdout.write(`\n${text}\n`);
  else writeSection('php', text);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

// --- internal ---

/** Samples by case and contender, once for each round. */
async function runRounds(names, keys) {
  const samples = Object.fromEntries(
    keys.map((key) => [key, Object.fromEntries(names.map((name) => [name, []]))]),
  );
  const apps = {
    scripts: SCRIPTS,
    flood: { ...SCRIPTS, queue: SHORT_QUEUE },
    recycling: { ...SCRIPTS, maxRequests: MAX_REQUESTS },
  };
  if (keys.includes('wiki')) {
    const folder = join(scratch, 'wiki');
    mkdirSync(folder);
    apps.wiki = { root: MEDIAWIKI, env: await installMediaWiki(folder) };
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [app, site] of Object.entries(apps)) {
      const cases = keys.filter((key) => (CASES[key].app ?? 'scripts') === app);
      for (let index = 0; cases.length > 0 && index < names.length; index += 1) {
        const name = names[(index + round) % names.length];
        const home = join(scratch, `${app}-${round}-${index}`);
        const plan = PHP_CONTENDERS[name].plan({ maxRequests: 0, queue: null, ...site });
        const measured = await measure(plan, cases, home);
        for (const [key, sample] of Object.entries(measured)) samples[key][name].push(sample);
        process.stderr.write(
          `round ${round + 1}/${ROUNDS} ${app}, ${name}: ${inShort(measured)}\n`,
        );
      }
    }
  }
  return samples;
}

async function measure(plan, cases, home) {
  mkdirSync(home, { recursive: true });
  const ready = (where) => {
    const made = plan(where);
    return { ...made, url: `http://127.0.0.1:${where.port}${CASES[cases[0]].path}` };
  };
  const running = await start({ plan: ready }, home, home);
  try {
    const samples = {};
    for (const key of cases) {
      const { path, args, connections = CONNECTIONS } = CASES[key];
      const { seconds = RUN_SECONDS, warmUp = WARM_UP_SECONDS } = CASES[key];
      const url = new URL(path, running.url).href;
      const load = { connections, args };
      if (warmUp > 0) await wrk(url, { ...load, seconds: warmUp });
      if (CASES[key].settles === true) await sleep(SETTLE_MS);
      const before = cpuSecondsOf(running.pid);
      const { flood } = CASES[key];
      const result =
        flood === undefined
          ? await wrk(url, { ...load, seconds })
          : await impatient(url, { ...flood, seconds });
      const cpuSeconds = cpuSecondsOf(running.pid) - before;
      samples[key] = {
        ...result,
        // Who refuses quickly is not quick.
        perSecond: result.perSecond * (1 - result.refused / Math.max(1, result.requests)),
        cpuMs: (cpuSeconds * 1000) / Math.max(1, result.requests),
        pssBytes: await pssOf(running.pid),
      };
    }
    return samples;
  } finally {
    await running.stop();
  }
}

async function pssOf(pid) {
  const all = await Promise.all(treeOf(pid).map((each) => readSmapsRollup(each)));
  return all.reduce((sum, memory) => sum + (memory?.pssBytes ?? 0), 0);
}

function inShort(samples) {
  return Object.entries(samples)
    .map(([key, { perSecond, failed }]) => `${key} ${perSecond.toFixed(0)}/s (${failed} failed)`)
    .join(', ');
}

function report(names, keys, samples) {
  const tables = keys.map((key) => caseTable(names, CASES[key].title, samples[key]));
  return [...tables, ratioTable(names, keys, samples)].join('\n\n');
}

function caseTable(names, title, samples) {
  const units = ['requests/s', 'CPU ms/request', 'p50 ms', 'p99 ms', 'max ms', 'failed', 'PSS MiB'];
  const rows = names.map((name) => {
    const column = (key, unit = 1) => samples[name].map((sample) => sample[key] / unit);
    const latencies = ['p50Ms', 'p99Ms', 'maxMs'].map((key) => spread(column(key), 1));
    const failed = column('failed').reduce((sum, count) => sum + count, 0);
    const rates = [spread(column('perSecond')), spread(column('cpuMs'), 2)];
    return [name, ...rates, ...latencies, failed, spread(column('pssBytes', MIB))];
  });
  return table([title, ...units], rows);
}

/** Medians of Cofferdam's requests per second divided by those of each peer. */
function ratioTable(names, keys, samples) {
  if (!names.includes(COFFERDAM)) return '';
  const rate = (key, name) => median(samples[key][name].map(({ perSecond }) => perSecond));
  const rows = names
    .filter((name) => name !== COFFERDAM)
    .map((peer) => [
      peer,
      ...keys.map((key) => (rate(key, COFFERDAM) / rate(key, peer)).toFixed(2)),
    ]);
  return table(['Cofferdam ÷ peer, requests/s', ...keys], rows);
}

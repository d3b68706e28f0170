/**
 * Runs `cofferdam leak` on every app of the corpus and prints a confusion matrix.
 *
 *   node test/leak-corpus/run.mjs [--only map,lru] [--node /path/to/node] [--repeat 3] [--duration 45s]
 *                                 [--out results.jsonl]
 *   node test/leak-corpus/run.mjs --from one.jsonl,two.jsonl --write docs/leak-corpus.md
 *
 * `--write` puts the tables between two marks of that page; `--from` takes results of earlier runs.
 * One app at a time: two would disturb each other's clocks. Needs a built `dist`.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const CLI = join(HERE, '../../dist/cli/main.js');
export const CORPUS = JSON.parse(readFileSync(join(HERE, 'corpus.json'), 'utf8'));

/** An app that hangs must not hang the corpus. */
const RUN_LIMIT_MS = 300_000;

let builtAddon;

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();

async function main() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      node: { type: 'string', default: process.execPath },
      repeat: { type: 'string', default: '1' },
      duration: { type: 'string', default: '45s' },
      rest: { type: 'string', default: '5s' },
      out: { type: 'string' },
      from: { type: 'string' },
      write: { type: 'string' },
    },
  });
  if (values.from !== undefined) return publish(values.from.split(',').flatMap(readLines), values);
  const only = values.only?.split(',');
  const entries = [
    ...CORPUS.leaks.map((entry) => ({ ...entry, leaks: true })),
    ...CORPUS.calm.map((entry) => ({ ...entry, leaks: false })),
  ].filter(({ app }) => only === undefined || only.includes(app));
  const results = [];
  for (let round = 0; round < Number(values.repeat); round += 1) {
    for (const entry of entries) {
      const result = await runApp(entry, {
        node: values.node,
        flags: ['--duration', values.duration, '--rest', values.rest],
      });
      results.push(result);
      if (values.out !== undefined) appendFileSync(values.out, `${JSON.stringify(result)}\n`);
      console.log(lineOf(result));
    }
  }
  publish(results, values);
}

function readLines(file) {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

/** Prints the tables, and writes them between the marks of a page. */
function publish(results, { write }) {
  const text = summarize(results);
  console.log(`\n${text}`);
  if (write === undefined) return;
  const page = readFileSync(write, 'utf8');
  const [before, , after] = page.split(/(?<=<!-- runs -->\n)|(?=<!-- end of runs -->)/);
  writeFileSync(write, `${before}\n${text}\n${after}`);
}

/** Runs one app; resolves to what was said, and whether it was right. */
export async function runApp(entry, { node, flags }) {
  const env = { ...process.env };
  if (entry.app === 'native') {
    const addon = buildAddon();
    if (addon === null) return { ...entry, node, kind: 'skipped', right: null };
    env.NATIVE_ADDON = addon;
  }
  const app = join(HERE, 'apps', `${entry.app}.cjs`);
  const args = [CLI, 'leak', app, '--json', '--no-report', ...flags];
  const { code, stdout, stderr } = await execute(node, args, env);
  let report;
  try {
    report = JSON.parse(stdout);
  } catch {
    return {
      ...entry,
      node,
      kind: `failed (${code})`,
      right: false,
      sentence: stderr.slice(0, 500),
    };
  }
  const { verdict, sentence, elapsedMs, culprit } = report;
  const truth = entry.truth === 'measured' ? measureTruth(app, node) : entry.truth;
  const asked = verdict.kind === 'leak';
  const unit = entry.perSecond === true ? 'second' : 'request';
  const isKind = entry.signals?.includes(verdict.signal) && verdict.rate?.per === unit;
  const right = entry.leaks ? asked && isKind : !asked;
  return {
    ...entry,
    node: report.node,
    kind: verdict.kind,
    signal: verdict.signal,
    rate: verdict.rate,
    keyedByInput: verdict.keyedByInput,
    right,
    rank: rankOf(entry, culprit),
    truth,
    covered: truth === undefined || verdict.kind !== 'leak' ? null : covers(verdict.rate, truth),
    sentence,
    elapsedMs,
    requests: report.load.requests,
    states: verdict.findings.map((f) => `${f.signal}:${f.state}`).join(' '),
    notes: culprit?.notes,
  };
}

export function execute(command, args, env = process.env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGTERM'), RUN_LIMIT_MS);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

/** The path of the native leak, or null where there is no compiler. */
function buildAddon() {
  if (builtAddon !== undefined) return builtAddon;
  const include = ['/usr/include/node', join(dirname(process.execPath), '../include/node')].find(
    (path) => existsSync(join(path, 'node_api.h')),
  );
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-native-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const target = join(folder, 'native.node');
  const source = join(HERE, 'apps/native.c');
  const args = ['-shared', '-fPIC', '-O1', '-I', include, '-o', target, source];
  const built = include !== undefined && spawnSync('cc', args).status === 0;
  builtAddon = built ? target : null;
  return builtAddon;
}

/** 1 or 2 when the guilty one is first or second on any of the lists; null when it is on none. */
export function rankOf(entry, culprit) {
  if (culprit === null || culprit === undefined || entry.culprit === undefined) return null;
  const pattern = new RegExp(entry.culprit);
  const place = (p) => (p === null ? '' : `${p.name} ${p.file}:${p.line}`);
  const lists = [
    culprit.suspects.map((s) =>
      [s.name, place(s.reachedFrom), ...s.places.map(place), s.explanation, ...s.path].join(' '),
    ),
    culprit.sites.map(({ stack }) => stack.split('\n')[0]),
    culprit.allocations.map(place),
  ];
  const ranks = lists.map((list) => list.findIndex((text) => pattern.test(text)) + 1);
  const found = ranks.filter((rank) => rank > 0);
  return found.length === 0 ? null : Math.min(...found);
}

/** Bytes per request by another way: the handler called by itself, and the heap before and after. */
function measureTruth(app, node) {
  const script = `
    const http = require('node:http');
    let handler;
    http.createServer = (given) => ((handler = given), { listen() {} });
    require(${JSON.stringify(app)});
    const serve = (count) => {
      for (let i = 0; i < count; i++) handler({ url: '/', method: 'GET', headers: {} }, { end() {} });
      for (let i = 0; i < 4; i++) gc();
      return process.memoryUsage().heapUsed;
    };
    const floors = [2000, ...Array(7).fill(5000)].map(serve);
    const slopes = floors.slice(1).map((floor, i) => (floor - floors[i]) / 5000);
    console.log(slopes.sort((a, b) => a - b)[3]);`;
  const { stdout } = spawnSync(node, ['--expose-gc', '-e', script], { encoding: 'utf8' });
  return Number(stdout);
}

function covers({ low, high }, truth) {
  return low <= truth && truth <= high;
}

function lineOf({ app, kind, signal, rate, right, rank, elapsedMs, sentence, states }) {
  const mark = right === null ? '-' : right ? 'ok' : 'WRONG';
  const slope =
    rate == null
      ? ''
      : `${rate.slope.toFixed(1)} [${rate.low.toFixed(1)}, ${rate.high.toFixed(1)}]`;
  const more = right === false ? `\n      ${sentence}\n      ${states}` : '';
  const seconds = elapsedMs === undefined ? '' : `${(elapsedMs / 1000).toFixed(0)}s`;
  return `${mark.padEnd(6)}${app.padEnd(18)}${kind} ${signal ?? ''} ${slope} rank ${rank ?? '-'} ${seconds}${more}`;
}

function summarize(all) {
  const ran = all.filter(({ right }) => right !== null);
  const nodes = [...new Set(ran.map(({ node }) => node))].sort((a, b) => (a < b ? -1 : 1));
  return `${[
    ...matrix(ran, nodes),
    '',
    ...shares(ran),
    '',
    `| app | ${nodes.join(' | ')} |`,
    `|---|${nodes.map(() => '---|').join('')}`,
    ...[...groupBy(ran, ({ app }) => app).values()].map((runs) => {
      const cells = nodes.map((node) =>
        runs
          .filter((one) => one.node === node)
          .map(cellOf)
          .join('; '),
      );
      return `| ${runs[0].leaks ? '' : '*healthy:* '}${runs[0].what} | ${cells.join(' | ')} |`;
    }),
  ].join('\n')}\n`;
}

/** `Map.groupBy` came with Node 21. */
function groupBy(list, keyOf) {
  const groups = new Map();
  for (const one of list) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}

function matrix(ran, nodes) {
  const rows = nodes.flatMap((node) =>
    [true, false].map((leaks) => {
      const of = ran.filter((one) => one.leaks === leaks && one.node === node);
      const counts = ['leak', 'undecided', 'no leak', 'failed'].map(
        (bucket) => of.filter(({ kind }) => bucketOf(kind) === bucket).length,
      );
      return `| ${leaks ? 'leaks' : 'healthy'} | ${node} | ${of.length} | ${counts.join(' | ')} |`;
    }),
  );
  return [
    '| truth | Node | runs | said leak | undecided | said no leak | failed |',
    '|---|---|---|---|---|---|---|',
    ...rows,
  ];
}

function shares(ran) {
  const leaks = ran.filter((one) => one.leaks);
  const found = leaks.filter(({ right }) => right);
  const healthy = ran.filter((one) => !one.leaks);
  const accused = healthy.filter(({ kind }) => kind === 'leak');
  const named = found.filter(({ culprit }) => culprit !== undefined);
  const known = found.filter(({ covered }) => covered !== null);
  const share = (part, whole) =>
    `${part.length} of ${whole.length}${whole.length === 0 ? '' : ` (${Math.round((100 * part.length) / whole.length)} %)`}`;
  const first = named.filter(({ rank }) => rank === 1);
  const high = named.filter(({ rank }) => rank === 1 || rank === 2);
  return [
    `- Leaks found, of the right kind: ${share(found, leaks)}.`,
    `- Healthy apps accused: ${share(accused, healthy)}.`,
    `- Guilty holder or line among the first two: ${share(high, named)}; first: ${first.length}.`,
    `- Interval holds the true slope, where it is known by another way: ${share(
      known.filter(({ covered }) => covered),
      known,
    )}.`,
  ];
}

function cellOf({ kind, signal, rate, rank, right, culprit, leaks }) {
  const slope = kind === 'leak' && rate != null ? ` ${Number(rate.slope.toPrecision(3))}` : '';
  const place = leaks && kind === 'leak' && culprit !== undefined ? `, #${rank ?? '-'}` : '';
  const text = `${kind}${kind === 'leak' ? ` ${signal}${slope}${place}` : ''}`;
  return right ? text : `**${text}**`;
}

function bucketOf(kind) {
  if (kind === 'leak' || kind === 'undecided') return kind;
  return kind.startsWith('failed') ? 'failed' : 'no leak';
}

/**
 * Runs `cofferdam leak` on every app of the corpus and prints a confusion matrix.
 *
 *   node test/leak-corpus/run.mjs [--only map,lru] [--node /path/to/node] [--repeat 3] [--duration 45s]
 *                                 [--write docs/leak-corpus.md] [--out results.jsonl]
 *
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
      write: { type: 'string' },
    },
  });
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
  const text = summarize(results);
  console.log(`\n${text}`);
  if (values.write !== undefined) writeFileSync(values.write, text);
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
  const asked = verdict.kind === 'leak';
  const right = entry.leaks ? asked && entry.signals.includes(verdict.signal) : !asked;
  return {
    ...entry,
    node: report.node,
    kind: verdict.kind,
    signal: verdict.signal,
    rate: verdict.rate,
    keyedByInput: verdict.keyedByInput,
    right,
    rank: rankOf(entry, culprit),
    covered:
      entry.truth === undefined || verdict.rate === null ? null : covers(verdict.rate, entry.truth),
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

function summarize(results) {
  const ran = results.filter(({ right }) => right !== null);
  const count = (leaks, kind) =>
    ran.filter((one) => one.leaks === leaks && bucketOf(one.kind) === kind).length;
  const rows = [
    ['leaks', true],
    ['calm', false],
  ].map(
    ([name, leaks]) =>
      `| ${name} | ${count(leaks, 'leak')} | ${count(leaks, 'undecided')} | ${count(leaks, 'no leak')} | ${count(leaks, 'failed')} |`,
  );
  const found = ran.filter((one) => one.leaks && one.kind === 'leak' && one.culprit !== undefined);
  const named = found.filter(({ rank }) => rank !== null && rank <= 2).length;
  const nodes = [...new Set(ran.map(({ node }) => node))].join(', ');
  return `${[
    `Node ${nodes}; ${ran.length} runs.`,
    '',
    '| truth | said leak | undecided | said no leak | failed |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `Guilty holder or line first or second: ${named} of ${found.length}.`,
    '',
    '| app | what | verdict | rank | seconds |',
    '|---|---|---|---|---|',
    ...ran.map(
      ({ app, what, kind, signal, rank, elapsedMs, right }) =>
        `| ${app} | ${what} | ${right ? '' : '**'}${kind}${signal == null ? '' : `, ${signal}`}${right ? '' : '**'} | ${rank ?? ''} | ${elapsedMs === undefined ? '' : Math.round(elapsedMs / 1000)} |`,
    ),
  ].join('\n')}\n`;
}

function bucketOf(kind) {
  if (kind === 'leak' || kind === 'undecided') return kind;
  return kind.startsWith('failed') ? 'failed' : 'no leak';
}

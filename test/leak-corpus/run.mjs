/**
 * Runs `cofferdam leak` on every app of the corpus and prints a confusion matrix.
 *
 *   node test/leak-corpus/run.mjs [--only map,lru] [--known] [--node /path/to/node,/to/another]
 *                                 [--repeat 3] [--duration 45s] [--out results.jsonl]
 *   node test/leak-corpus/run.mjs --from one.jsonl,two.jsonl --write docs/leak-corpus.md
 *   node test/leak-corpus/run.mjs --synthetic --write docs/leak-corpus.md
 *
 * `--write` puts the tables between two marks of that page; `--from` takes results of earlier runs;
 * `--known` runs those whose true slope is known; `--synthetic` judges seeded series, no app.
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
import { summarize } from './tables.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const CLI = join(HERE, '../../dist/cli/main.js');
const TRUTH = join(HERE, 'truth.cjs');
export const CORPUS = JSON.parse(readFileSync(join(HERE, 'corpus.json'), 'utf8'));

/** An app that hangs must not hang the corpus. */
const RUN_LIMIT_MS = 300_000;

let builtAddon;

/** By app and Node. */
const truths = new Map();

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
      known: { type: 'boolean', default: false },
      synthetic: { type: 'boolean', default: false },
    },
  });
  if (values.synthetic) return judgeSynthetic(values);
  if (values.from !== undefined) return publish(values.from.split(',').flatMap(readLines), values);
  const only = values.only?.split(',');
  const entries = [
    ...CORPUS.leaks.map((entry) => ({ ...entry, leaks: true })),
    ...CORPUS.calm.map((entry) => ({ ...entry, leaks: false })),
  ]
    .filter(({ app }) => only === undefined || only.includes(app))
    .filter(({ truth }) => !values.known || truth !== undefined);
  // One node after the other on the same app: they meet the same weather on a shared machine.
  const runs = entries.flatMap((entry) => values.node.split(',').map((node) => ({ entry, node })));
  const results = [];
  for (let round = 0; round < Number(values.repeat); round += 1) {
    for (const { entry, node } of runs) {
      const result = await runApp(entry, {
        node,
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
  if (write !== undefined) writeBetween(write, 'runs', text);
}

export function writeBetween(page, mark, text) {
  const all = readFileSync(page, 'utf8');
  const [before, , after] = all.split(
    new RegExp(`(?<=<!-- ${mark} -->\\n)|(?=<!-- end of ${mark} -->)`),
  );
  writeFileSync(page, `${before}\n${text}\n${after}`);
}

/** The series and the verdict are TypeScript, which Node 20 cannot run: vitest does. */
function judgeSynthetic({ write }) {
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-synthetic-'));
  const table = join(folder, 'table.md');
  const vitest = join(HERE, '../../node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', 'test/leak/published.test.ts'];
  const env = { ...process.env, VERDICT_TABLE: table };
  const { status } = spawnSync(process.execPath, args, { env, stdio: 'inherit' });
  if (write !== undefined && status === 0) {
    writeBetween(write, 'synthetic', readFileSync(table, 'utf8'));
  }
  rmSync(folder, { recursive: true, force: true });
  process.exitCode = status ?? 1;
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
  // The last one counts: an app may need other flags than the rest of the corpus.
  const args = [CLI, 'leak', app, '--json', '--no-report', ...flags, ...(entry.flags ?? [])];
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
  // The truth is that of the signal that comes first in the corpus.
  const isKnown = truth !== undefined && verdict.signal === entry.signals?.[0];
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
    covered: isKnown && verdict.kind === 'leak' ? covers(verdict.rate, truth) : null,
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

/** What truth.cjs prints: once for each app and Node. */
function measureTruth(app, node) {
  const key = `${app} ${node}`;
  if (!truths.has(key)) {
    const { stdout } = spawnSync(node, ['--expose-gc', TRUTH, app], { encoding: 'utf8' });
    truths.set(key, Number(stdout));
  }
  return truths.get(key);
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

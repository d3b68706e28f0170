/** Tables for docs/benchmarks.md, and on which machine they were made. */
import { readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../scripts/setup.mjs';
import { NODE } from './contenders.mjs';

const PAGE = join(ROOT, 'docs/benchmarks.md');

/** `median (min–max)`, or one number when all are alike or there is only one. */
export function spread(values, digits = 0) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return '–';
  const show = (value) => value.toFixed(digits);
  const low = show(Math.min(...known));
  const high = show(Math.max(...known));
  return low === high ? low : `${show(median(known))} (${low}–${high})`;
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)];
  return (sorted[middle - 1] + sorted[middle]) / 2;
}

export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Date, command and machine. */
export function machine(command) {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return [
    `${new Date().toISOString().slice(0, 10)}, \`${command}\`; ${cpus().length} × ${cpu.model},`,
    `${memory}, Linux ${release()}, load average at the start ${loadavg()[0].toFixed(2)}`,
  ].join(' ');
}

/** The same with the versions of all contenders, as one paragraph. */
export function circumstances(command) {
  const node = execFileSync(NODE, ['--version'], { encoding: 'utf8' }).trim();
  const versions = ['pm2', 'wattpm', 'express'].map((name) => `${name} ${versionOf(name)}`);
  return `${machine(command)}; Node ${node} for all, ${versions.join(', ')}.`;
}

/** Puts the text between `<!-- name -->` and `<!-- /name -->` of docs/benchmarks.md. */
export function writeSection(name, text) {
  const page = readFileSync(PAGE, 'utf8');
  const [before, rest] = page.split(`<!-- ${name} -->`);
  const after = rest?.split(`<!-- /${name} -->`)[1];
  if (after === undefined) throw new Error(`docs/benchmarks.md has no section ${name}`);
  writeFileSync(PAGE, `${before}<!-- ${name} -->\n\n${text}\n\n<!-- /${name} -->${after}`);
}

// --- internal ---

function versionOf(name) {
  const file = join(ROOT, 'bench/node_modules', name, 'package.json');
  return JSON.parse(readFileSync(file, 'utf8')).version;
}

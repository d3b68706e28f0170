/**
 * Writes docs/reference/*.md from the tables in the built code; `--check` only compares, and exits 1
 * when a page is not what the tables say. Run by `npm run docs`.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { EXIT_MEANINGS, KILLED_MEANING } from '../dist/config/exit-codes.js';
import { allowsSource, GROUPS, LEAK_GROUPS, variableOf } from '../dist/config/setting-row.js';
import { LEAK_SETTINGS } from '../dist/config/settings-leak.js';
import { SETTINGS } from '../dist/config/settings.js';
import { SIGNALS } from '../dist/config/signals.js';
import { describeValue, formatValue } from '../dist/config/values.js';
import { ERRORS, EXIT } from '../dist/errors.js';
import { METRICS } from '../dist/metrics/catalog.js';

const FOLDER = new URL('../docs/reference/', import.meta.url);

const pages = {
  'settings.md': settingsPage(),
  'leak.md': leakPage(),
  'errors.md': errorsPage(),
  'exit-codes.md': exitCodesPage(),
  'signals.md': signalsPage(),
  'metrics.md': metricsPage(),
};

mkdirSync(FOLDER, { recursive: true });
const isCheck = process.argv.includes('--check');
for (const [name, text] of Object.entries(pages)) {
  const url = new URL(name, FOLDER);
  if (!isCheck) writeFileSync(url, text);
  else if (readText(url) !== text) {
    process.stderr.write(
      `docs/reference/${name} is not what the tables say: run \`npm run docs\`\n`,
    );
    process.exitCode = 1;
  }
}

// --- internal ---

function settingsPage() {
  return page(
    'Settings',
    `Every setting has one name, and that name is used everywhere: \`max-memory\` is the flag
\`--max-memory\`, the variable \`COFFERDAM_MAX_MEMORY\` and the key \`max-memory\` of the configuration file
(in \`.json\` and \`.mjs\` files, and in \`package.json\`, \`maxMemory\` as well). Flags win over variables, variables over the file, the
file over the defaults. What does not exist is an error, not ignored. \`cofferdam check\` shows the result and where each value comes from.

The file is the one given with \`--config\`, else \`cofferdam.toml\`, \`cofferdam.json\` or
\`cofferdam.mjs\` in the current folder, else the key \`cofferdam\` in its \`package.json\`. Folders above are
never searched. Paths in a file belong to the folder of that file.

\`\`\`toml
app = "server.js"
workers = "2..8"
max-memory = "200MiB"
max-age = "12h"
node-args = ["--enable-source-maps"]

[env]
NODE_ENV = "production"
\`\`\`

Sizes and times are texts with their unit, in files too: \`512MiB\`, \`1.5GiB\`, \`200MB\` (MB is 10^6 bytes, MiB
2^20); \`500ms\`, \`30s\`, \`1h30m\`, \`2d\`. Shares end in a percent sign: \`10%\`. Where \`off\` is a value, \`0\` is the same.`,
    ...GROUPS.map((group) =>
      settingsGroup(
        group,
        SETTINGS.filter((row) => row.group === group),
      ),
    ),
  );
}

function leakPage() {
  return page(
    'Flags of `cofferdam leak`',
    `An experiment is described by its command line alone: there are no variables and no file for it. What it does with them is told in
[the guide](../guide/leak.md).`,
    ...LEAK_GROUPS.map((group) =>
      settingsGroup(
        group,
        LEAK_SETTINGS.filter((row) => row.group === group),
        () => [],
      ),
    ),
  );
}

function settingsGroup(group, rows, remarksOn = remarks) {
  const lines = rows.map((row) => [
    [`\`${row.key}\``, ...(row.short ? [`\`-${row.short}\``] : [])].join(', '),
    takes(row),
    defaultOf(row),
    [row.sentence, ...remarksOn(row)].join(' '),
  ]);
  return `## ${group}\n\n${table(['Setting', 'Takes', 'Default', 'What it does'], lines)}`;
}

function takes(row) {
  const { limits } = row;
  if (limits === undefined) return describeValue(row);
  const ends = [limits.min, limits.max].map((end) =>
    row.kind === 'workers' ? String(end) : formatValue({ ...row, off: undefined }, end),
  );
  return `${describeValue(row)}; ${ends.join(' to ')} (${limits.reason})`;
}

function defaultOf(row) {
  if (row.key === 'app') return 'required';
  return row.defaultText ?? `\`${formatValue(row, row.default)}\``;
}

function remarks(row) {
  const common = (row.commonVariables ?? []).map((name) => `\`${name}\``);
  const isFlag = allowsSource(row, 'flag');
  const words = [];
  if (common.length > 0) {
    words.push(`Without \`${variableOf(row.key)}\`, ${common.join(', ')} counts as well.`);
  }
  if (row.kind === 'boolean' && row.default === true) words.push(`Off with \`--no-${row.key}\`.`);
  if (!isFlag && !allowsSource(row, 'positional') && !allowsSource(row, 'rest')) {
    words.push('In a file only.');
  }
  if (!allowsSource(row, 'file')) words.push('Not in a file.');
  if (row.reload === false) words.push('A change needs a restart.');
  return words;
}

function errorsPage() {
  const lines = Object.entries(ERRORS).map(([code, { meaning, hint, exitCode }]) => [
    `\`${code}\``,
    meaning,
    hint,
    String(exitCode),
  ]);
  return page(
    'Errors',
    `Errors go to stderr: what is wrong, then how to mend it and the code in brackets. \`--verbose\` adds the stack.`,
    table(['Code', 'What it means', 'What to do', 'Exit code'], lines),
  );
}

function exitCodesPage() {
  const lines = Object.entries(EXIT).map(([name, code]) => [String(code), EXIT_MEANINGS[name]]);
  return page(
    'Exit codes',
    table(['Code', 'What it means'], [...lines, ['128+n', KILLED_MEANING]]),
  );
}

function signalsPage() {
  const lines = SIGNALS.map(({ signal, does, command }) => [
    `\`${signal}\``,
    does,
    command === null ? '' : `\`${command}\``,
  ]);
  return page(
    'Signals',
    'What the process of `cofferdam serve` does with them. Workers need not be sent any.',
    table(['Signal', 'What it does', 'The same as'], lines),
  );
}

function metricsPage() {
  const lines = METRICS.map(({ name, type, labels, help }) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(' '),
    help,
  ]);
  return page(
    'Metrics',
    `\`/metrics\` on the ops listener (\`--ops\`, by default \`127.0.0.1:9477\`) tells them as Prometheus or
OpenMetrics text, whichever the scraper asks for. All series exist from the start; they are answered from memory and never wait
for a worker. Labels are bounded: \`pool\` is \`app\`, or \`health\` for the workers reserved for health checks; \`slot\` is the stable place of
a worker, 1 to the number of workers; \`reason\` and \`state\` are closed sets; \`code\` is the class of the answer (\`2xx\`) or \`aborted\`.

Counters of requests come from the workers' reports, one each second and a last one when they leave, so they survive every recycle; a worker that
crashes takes at most its last second along.`,
    table(['Metric', 'Type', 'Labels', 'What it tells'], lines),
  );
}

function page(title, ...parts) {
  const note = '<!-- Made by scripts/docs.mjs from the tables in src/: do not edit. -->';
  return `${[`# ${title}`, note, ...parts].join('\n\n')}\n`;
}

function table(heads, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

function readText(url) {
  try {
    return readFileSync(url, 'utf8');
  } catch {
    // Not there is as wrong as different.
    return null;
  }
}

/** `cofferdam check`: what would run, where each value comes from, and whether it fits. */
import { join } from 'node:path';
import { explainLeastBudget, SUPERVISOR_BYTES, workerShareBytes } from '../config/budget.ts';
import { parseFlags } from '../config/flags.ts';
import { kindOf, type Kind } from '../config/kind.ts';
import { readConfig, type Config } from '../config/load.ts';
import { fullSizeOf, poolSizeOf } from '../config/policy.ts';
import { propertyOf, type SettingRow, type SettingValue } from '../config/setting-row.ts';
import { SETTINGS } from '../config/settings.ts';
import { formatBytes, formatDuration } from '../config/units.ts';
import { adviseOn, checkBudget, longestStopMs } from '../config/validate.ts';
import { formatValue } from '../config/values.ts';
import { EXIT } from '../errors.ts';
import { v8FlagsOf } from '../supervisor/launch.ts';
import { resolveBudget, type Budget } from '../metrics/budget.ts';
import type { CommandContext } from './command.ts';
import { alignColumns } from './columns.ts';
import { painterFor } from './terminal.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const flags = parseFlags(argv, { switches: ['json'] });
  const config = await readConfig({ flags, env: context.env, cwd: context.cwd });
  const { settings } = config;
  const apps = config.pools.map((pool) =>
    appOf(kindOf(pool.settings, context.cwd, { ...context.env, ...pool.settings.env })),
  );
  const flagBytes = settings.memoryBudgetBytes === 'auto' ? null : settings.memoryBudgetBytes;
  const budget = resolveBudget({ flagBytes });
  checkBudget(budget.bytes, poolSizeOf(config.pools));
  const checked: Checked = { config, app: apps.join(', '), budget, notes: notesOn(config, budget) };
  const isJson = flags.switches.has('json');
  context.stdout.write(isJson ? renderJson(checked) : renderText(checked, context));
  return EXIT.ok;
}

// --- internal ---

interface Checked {
  readonly config: Config;
  readonly app: string;
  readonly budget: Budget;
  readonly notes: readonly string[];
}

/** What will run, absolute where it is a file. */
function appOf(kind: Kind): string {
  if (kind.kind === 'node') return kind.app;
  if (kind.kind === 'command') return kind.command.join(' ');
  return join(kind.root, kind.frontController ?? '');
}

interface Line {
  readonly key: string;
  readonly value: SettingValue;
  readonly text: string;
  readonly from: string;
}

function linesOf({ settings, origins }: Config): readonly Line[] {
  return SETTINGS.map((row: SettingRow & (typeof SETTINGS)[number]) => {
    const value = settings[propertyOf(row) as keyof typeof settings];
    // Variables may be secrets: their names are enough.
    const shown = row.kind === 'map' ? Object.keys(value as object) : value;
    return {
      key: row.key,
      value: shown,
      text: formatValue(row, value),
      from: origins[row.key].where,
    };
  });
}

/** The worst case of the per-worker limit, on top of what is odd in the settings themselves. */
function notesOn(config: Config, budget: Budget): readonly string[] {
  const { workers, surge } = fullSizeOf(config.pools);
  const { maxMemoryBytes } = config.settings;
  const worstBytes = (workers + surge) * maxMemoryBytes + SUPERVISOR_BYTES;
  const notes = [...adviseOn(config.settings)];
  if (maxMemoryBytes > 0 && worstBytes > budget.bytes) {
    notes.push(
      `max-memory ${formatBytes(maxMemoryBytes)} x ${workers + surge} workers + supervisor = ` +
        `${formatBytes(worstBytes)}: more than the budget of ${formatBytes(budget.bytes)}`,
    );
  }
  if (budget.limitBytes !== null && budget.bytes > budget.limitBytes) {
    notes.push(
      `the budget is above the limit that the kernel enforces, ${formatBytes(budget.limitBytes)}`,
    );
  }
  return notes;
}

function renderText({ config, app, budget, notes }: Checked, context: CommandContext): string {
  const paint = painterFor(context.stdout, context.env);
  const pool = poolSizeOf(config.pools);
  const full = fullSizeOf(config.pools);
  const shareBytes = workerShareBytes(budget.bytes, full);
  const table = alignColumns(
    [
      ['SETTING', 'VALUE', 'FROM'],
      ...linesOf(config).map(({ key, text, from }) => [key, text, from]),
    ],
    ['left', 'left', 'left'],
  );
  const [head = '', ...rows] = table;
  return [
    paint('bold', head),
    ...rows.map((row) => (row.endsWith(' default') ? paint('dim', row) : row)),
    '',
    `App      ${app}`,
    `File     ${config.file ?? 'none'}`,
    `Budget   ${formatBytes(budget.bytes)} (${budget.origin}), at least ${explainLeastBudget(pool)}`,
    `Share    ${formatBytes(shareBytes)} for each of ${full.workers + full.surge} workers, surge included`,
    `Heap     ${v8FlagsOf(config.settings, shareBytes).join(' ') || 'as V8 decides'}`,
    `Memory   ${explainMemory(config, budget)}`,
    `Stop     ${explainStop(config)}`,
    ...notes.map((note) => `${paint('yellow', 'Note')}     ${note}`),
    paint('green', 'OK'),
    '',
  ].join('\n');
}

/** What is not known before the app runs is told at the start, with the measured numbers. */
function explainMemory(config: Config, { bytes }: Budget): string {
  const { workers, surge } = fullSizeOf(config.pools);
  const { maxRequests, maxMemoryBytes } = config.settings;
  const leak =
    maxRequests > 0
      ? ` + leak x ${maxRequests} requests x ${workers}`
      : maxMemoryBytes > 0
        ? ` + growth up to ${formatBytes(maxMemoryBytes)} each`
        : ' + leak x requests';
  const floors = `floor x (${workers} + ${surge} surge)`;
  return `${floors}${leak} has to fit into ${formatBytes(bytes)}; floor and leak are told when measured`;
}

/** Who stops us from outside has to wait longer than this, or kills what still serves. */
function explainStop({ settings }: Config): string {
  const { shutdownDelayMs, drainTimeoutMs, killTimeoutMs, terminationGraceMs } = settings;
  const delay = shutdownDelayMs > 0 ? `${formatDuration(shutdownDelayMs)} delay + ` : '';
  const sum =
    `${delay}${formatDuration(drainTimeoutMs)} drain + ` +
    `2 x ${formatDuration(killTimeoutMs)} kill`;
  const most = `${formatDuration(longestStopMs(settings))} at most: ${sum}`;
  return terminationGraceMs > 0
    ? `${most}, within ${formatDuration(terminationGraceMs)} of termination-grace`
    : `${most}; terminationGracePeriodSeconds has to be longer`;
}

function renderJson({ config, app, budget, notes }: Checked): string {
  const settings = Object.fromEntries(
    linesOf(config).map(({ key, value, text, from }) => [key, { value, text, from }]),
  );
  return `${JSON.stringify({ ok: true, app, file: config.file, settings, budget, notes }, null, 2)}\n`;
}

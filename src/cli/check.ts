/** `cofferdam check`: what would run, where each value comes from, and whether it fits. */
import { join } from 'node:path';
import { explainLeastBudget, SUPERVISOR_BYTES, workerShareBytes } from '../config/budget.ts';
import { parseFlags } from '../config/flags.ts';
import { isBehindGateway, kindOf, type Kind } from '../config/kind.ts';
import { readConfig, type Config, type PoolConfig } from '../config/load.ts';
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
import { painterFor, type Paint } from './terminal.ts';

export async function run(argv: readonly string[], context: CommandContext): Promise<number> {
  const flags = parseFlags(argv, { switches: ['json'] });
  const config = await readConfig({ flags, env: context.env, cwd: context.cwd });
  const { settings } = config;
  const pools = config.pools.map((pool): Pool => {
    const env = { ...context.env, ...pool.settings.env };
    const kind = kindOf(pool.settings, context.cwd, env);
    return { ...pool, kind, behindGateway: isBehindGateway(pool.settings, kind) };
  });
  const flagBytes = settings.memoryBudgetBytes === 'auto' ? null : settings.memoryBudgetBytes;
  const budget = resolveBudget({ flagBytes });
  checkBudget(budget.bytes, poolSizeOf(config.pools));
  const checked: Checked = { config, pools, budget, notes: notesOn(config, budget) };
  const isJson = flags.switches.has('json');
  context.stdout.write(isJson ? renderJson(checked) : renderText(checked, context));
  return EXIT.ok;
}

// --- internal ---

interface Pool extends PoolConfig {
  readonly kind: Kind;
  readonly behindGateway: boolean;
}

interface Checked {
  readonly config: Config;
  readonly pools: readonly Pool[];
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

function linesOf({ settings, origins }: Pick<Config, 'settings' | 'origins'>): readonly Line[] {
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

/** What holds for one pool alone; of the only pool that is everything. */
function differingLines(pool: Pool, { config, pools }: Checked): readonly Line[] {
  const lines = linesOf(pool);
  if (pools.length === 1) return lines;
  const shared = linesOf(config);
  return lines.filter(({ from }, index) => from !== shared[index]?.from);
}

/** The worst case of the per-worker limits, on top of what is odd in the settings themselves. */
function notesOn(config: Config, budget: Budget): readonly string[] {
  const { pools } = config;
  const isOne = pools.length === 1;
  const notes = pools.flatMap(({ name, settings }) =>
    adviseOn(settings).map((note) => (isOne ? note : `${name}: ${note}`)),
  );
  const limits = pools.map((pool) => ({
    name: isOne ? '' : `${pool.name} `,
    workers: fullSizeOf([pool]).workers,
    bytes: pool.settings.maxMemoryBytes,
  }));
  const { surge } = fullSizeOf(pools);
  const surgeBytes = surge * Math.max(...limits.map(({ bytes }) => bytes));
  const worstBytes =
    limits.reduce((sum, { workers, bytes }) => sum + workers * bytes, surgeBytes) +
    SUPERVISOR_BYTES;
  if (limits.some(({ bytes }) => bytes > 0) && worstBytes > budget.bytes) {
    const terms = limits.map(
      ({ name, workers, bytes }) =>
        `${name}max-memory ${formatBytes(bytes)} x ${isOne ? workers + surge : workers} workers`,
    );
    if (!isOne) terms.push(`surge ${formatBytes(surgeBytes)}`);
    notes.push(
      `${terms.join(' + ')} + supervisor = ${formatBytes(worstBytes)}: ` +
        `more than the budget of ${formatBytes(budget.bytes)}`,
    );
  }
  if (budget.limitBytes !== null && budget.bytes > budget.limitBytes) {
    notes.push(
      `the budget is above the limit that the kernel enforces, ${formatBytes(budget.limitBytes)}`,
    );
  }
  return notes;
}

function renderText(checked: Checked, context: CommandContext): string {
  const { config, pools, budget, notes } = checked;
  const paint = painterFor(context.stdout, context.env);
  const size = poolSizeOf(pools);
  const full = fullSizeOf(pools);
  const share = formatBytes(workerShareBytes(budget.bytes, full));
  const [only] = pools.length === 1 ? pools : [];
  const [head = '', ...rows] = tableOf(linesOf(only ?? config), true);
  return [
    paint('bold', head),
    ...rows.map((row) => (row.endsWith(' default') ? paint('dim', row) : row)),
    '',
    ...(only === undefined
      ? pools.flatMap((pool) => renderPool(pool, checked, paint))
      : [`App      ${appOf(only.kind)}`]),
    `File     ${config.file ?? 'none'}`,
    `Budget   ${formatBytes(budget.bytes)} (${budget.origin}), at least ${explainLeastBudget(size)}`,
    `Share    ${share} for each of ${full.workers + full.surge} workers, surge included`,
    ...(only === undefined ? [] : heapOf(only, checked)),
    `Memory   ${explainMemory(config, budget)}`,
    `Stop     ${explainStop(pools)}`,
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

/** What one of several pools has of its own. */
function renderPool(pool: Pool, checked: Checked, paint: Paint): readonly string[] {
  const { workers } = poolSizeOf([pool]);
  const front = pool.behindGateway ? ', behind a gateway' : '';
  return [
    paint('bold', `Pool ${pool.name}`) +
      `: ${pool.kind.kind}, ${workers} worker${workers === 1 ? '' : 's'}${front}`,
    ...tableOf(differingLines(pool, checked), false).map((row) => `  ${row}`),
    ...heapOf(pool, checked).map((row) => `  ${row}`),
    '',
  ];
}

function tableOf(lines: readonly Line[], hasHead: boolean): readonly string[] {
  const rows = lines.map(({ key, text, from }) => [key, text, from]);
  const head = ['SETTING', 'VALUE', 'FROM'];
  return alignColumns(hasHead ? [head, ...rows] : rows, ['left', 'left', 'left']);
}

/** Only Node has flags of V8. */
function heapOf({ kind, settings }: Pool, { pools, budget }: Checked): readonly string[] {
  if (kind.kind !== 'node') return [];
  const flags = v8FlagsOf(settings, workerShareBytes(budget.bytes, fullSizeOf(pools)));
  return [`Heap     ${flags.join(' ') || 'as V8 decides'}`];
}

/** Who stops us from outside has to wait longer than this, or kills what still serves. */
function explainStop(pools: readonly Pool[]): string {
  const [slowest] = pools
    .map(({ settings }) => settings)
    .sort((one, other) => longestStopMs(other) - longestStopMs(one));
  if (slowest === undefined) return 'at once';
  const { shutdownDelayMs, drainTimeoutMs, killTimeoutMs, terminationGraceMs } = slowest;
  const delay = shutdownDelayMs > 0 ? `${formatDuration(shutdownDelayMs)} delay + ` : '';
  const sum =
    `${delay}${formatDuration(drainTimeoutMs)} drain + ` +
    `2 x ${formatDuration(killTimeoutMs)} kill`;
  const most = `${formatDuration(longestStopMs(slowest))} at most: ${sum}`;
  return terminationGraceMs > 0
    ? `${most}, within ${formatDuration(terminationGraceMs)} of termination-grace`
    : `${most}; terminationGracePeriodSeconds has to be longer`;
}

function renderJson(checked: Checked): string {
  const { config, pools, budget, notes } = checked;
  const table = (lines: readonly Line[]): object =>
    Object.fromEntries(lines.map(({ key, value, text, from }) => [key, { value, text, from }]));
  const [only] = pools.length === 1 ? pools : [];
  const told = {
    ok: true,
    app: pools.map(({ kind }) => appOf(kind)).join(', '),
    file: config.file,
    settings: table(linesOf(only ?? config)),
    pools: pools.map((pool) => ({
      name: pool.name,
      kind: pool.kind.kind,
      app: appOf(pool.kind),
      settings: table(only === undefined ? differingLines(pool, checked) : []),
    })),
    budget,
    notes,
  };
  return `${JSON.stringify(told, null, 2)}\n`;
}

/** `cofferdam check`: what would run, where each value comes from, and whether it fits. */
import { join } from 'node:path';
import { addUp, explainLeastBudget, workerShareBytes, type Crew } from '../config/budget.ts';
import { parseFlags, type Flags } from '../config/flags.ts';
import { isBehindGateway, kindOf, type Kind } from '../config/kind.ts';
import { readConfig, type Config, type PoolConfig } from '../config/load.ts';
import { crewsOf, fullCrewsOf } from '../config/policy.ts';
import { propertyOf, type SettingRow, type SettingValue } from '../config/setting-row.ts';
import { SETTINGS } from '../config/settings.ts';
import { formatBytes } from '../config/units.ts';
import { adviseOn, checkBudget } from '../config/validate.ts';
import { formatValue } from '../config/values.ts';
import type { PoolStatus } from '../control/status.ts';
import { EXIT } from '../errors.ts';
import { v8FlagsOf } from '../supervisor/launch.ts';
import { resolveBudget, type Budget } from '../metrics/budget.ts';
import {
  explainMeasured,
  explainMemory,
  explainRecycler,
  explainStop,
  warnOf,
} from './check-arithmetic.ts';
import type { CommandContext } from './command.ts';
import { ANSWER_TIMEOUT_MS, ask, findInstance } from './control-client.ts';
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
  const least = crewsOf(pools, context.cwd);
  checkBudget(budget.bytes, least);
  const crews = fullCrewsOf(pools, context.cwd);
  const notes = [...adviceOn(pools), ...warnOf({ pools, crews, budget })];
  const running = await runningPools(flags, context);
  const checked: Checked = { config, pools, least, crews, budget, running, notes };
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
  /** At the start, and at most. */
  readonly least: readonly Crew[];
  readonly crews: readonly Crew[];
  readonly budget: Budget;
  /** Of the instance of this name, if one runs. */
  readonly running: readonly PoolStatus[] | null;
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

function adviceOn(pools: readonly Pool[]): readonly string[] {
  return pools.flatMap(({ name, settings, kind }) =>
    adviseOn(settings, kind.kind).map((note) => (pools.length === 1 ? note : `${name}: ${note}`)),
  );
}

/** Whoever does not answer has measured nothing that could be shown. */
async function runningPools(
  flags: Flags,
  context: CommandContext,
): Promise<readonly PoolStatus[] | null> {
  try {
    const instance = await findInstance(flags, context);
    const { status } = await ask({ command: 'status' }, instance, { timeoutMs: ANSWER_TIMEOUT_MS });
    return status.pools;
  } catch {
    return null;
  }
}

function renderText(checked: Checked, context: CommandContext): string {
  const { config, pools, least, crews, budget, running, notes } = checked;
  const paint = painterFor(context.stdout, context.env);
  const full = addUp(crews);
  const share = formatBytes(workerShareBytes(budget.bytes, crews));
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
    `Budget   ${formatBytes(budget.bytes)} (${budget.origin}), at least ${explainLeastBudget(least)}`,
    `Share    ${share} for each of ${full.workers + full.reserved + full.surge} workers, surge included`,
    ...(only === undefined ? [] : heapOf(only, checked)),
    `Memory   ${explainMemory(checked)}`,
    `Recycler ${explainRecycler(checked)}`,
    ...explainMeasured(running).map((text) => `Measured ${text}`),
    `Stop     ${explainStop(pools)}`,
    ...notes.map((note) => `${paint('yellow', 'Note')}     ${note}`),
    paint('green', 'OK'),
    '',
  ].join('\n');
}

/** What one of several pools has of its own. */
function renderPool(pool: Pool, checked: Checked, paint: Paint): readonly string[] {
  const { pools, least } = checked;
  const workers = least[pools.indexOf(pool)]?.workers ?? 0;
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
function heapOf({ kind, settings }: Pool, { crews, budget }: Checked): readonly string[] {
  if (kind.kind !== 'node') return [];
  const flags = v8FlagsOf(settings, workerShareBytes(budget.bytes, crews));
  return [`Heap     ${flags.join(' ') || 'as V8 decides'}`];
}

function renderJson(checked: Checked): string {
  const { config, pools, budget, running, notes } = checked;
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
    measured: running?.map(({ name, arithmetic }) => ({ name, arithmetic })) ?? null,
    notes,
  };
  return `${JSON.stringify(told, null, 2)}\n`;
}

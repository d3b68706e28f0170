/**
 * Merges flags, environment, file and defaults into the settings, and remembers where each came
 * from.
 */
import { CofferdamError } from '../errors.ts';
import { readEnvironment } from './environment.ts';
import { readEntries, readPoolEntries, type PoolEntries } from './file-entries.ts';
import { readConfigFile } from './file.ts';
import type { Flags } from './flags.ts';
import type { Given, Origin } from './given.ts';
import { propertyOf, variableOf, type SettingRow, type SettingsOf } from './setting-row.ts';
import { SETTINGS, type SettingKey, type Settings } from './settings.ts';
import { validatePools, validateSettings } from './validate.ts';
import { parseFileValue } from './values.ts';

export interface Config {
  /** Of the instance; with several pools, what is said for all of them. */
  readonly settings: Settings;
  readonly origins: Origins;
  /** At least one: without `[pools]` it is `app`, with the very settings of the instance. */
  readonly pools: readonly PoolConfig[];
  /** Absolute path of the configuration file, if there is one. */
  readonly file: string | null;
}

/** Everything that holds for one pool. */
export interface PoolConfig {
  readonly name: string;
  readonly settings: Settings;
  readonly origins: Origins;
}

export type Origins = Readonly<Record<SettingKey, Origin>>;

export interface ConfigRequest {
  readonly flags: Flags;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/**
 * Used at the start and, with the same request, again at each reload. Throws a CofferdamError with
 * exit code 2 for whatever is wrong; nothing was changed then.
 */
export async function readConfig(request: ConfigRequest): Promise<Config> {
  const { outside, top, pools, file } = await gather(request);
  const merged = merge([...outside, ...top]);
  const several = pools.length > 1;
  if (several) refuseForeign(outside);
  const config = {
    ...merged,
    pools:
      pools.length === 0
        ? [{ name: 'app', ...merged }]
        : pools.map(({ name, given }) => {
            const shared = several ? outside.filter(({ key }) => !isOwn(key)) : outside;
            return { name, ...merge([...shared, ...given, ...top]) };
          }),
    file,
  };
  for (const { settings } of config.pools) validateSettings(settings, request.cwd);
  validatePools(config.pools);
  return config;
}

/** The settings of a table of its own, from flags and defaults alone. */
export function readFlags<Row extends SettingRow>(
  table: readonly Row[],
  { given }: Flags,
): SettingsOf<Row> {
  const entries = table.map((row) => {
    const winner = given.find(({ key }) => key === row.key);
    return [propertyOf(row), winner === undefined ? row.default : understand(row, winner)];
  });
  return Object.fromEntries(entries) as SettingsOf<Row>;
}

/**
 * One setting alone, for commands that only have to find a running instance: a mistake in another
 * setting must not keep them from it.
 */
export async function readSetting(request: ConfigRequest, key: SettingKey): Promise<unknown> {
  const row = rowOf(key);
  const isIt = (given: Given): boolean => given.key === key;
  // Who names it outside the file does not depend on the file at all.
  const outside = gatherOutside(request).find(isIt);
  const winner = outside ?? (await gather(request, { lenient: true })).top.find(isIt);
  return winner === undefined ? row.default : understand(row, winner);
}

/** Settings that differ but that a reload does not apply. */
export function needsRestart(before: Settings, after: Settings): readonly SettingKey[] {
  return SETTINGS.filter((row: SettingRow) => {
    const property = propertyOf(row) as keyof Settings;
    return row.reload === false && before[property] !== after[property];
  }).map(({ key }) => key);
}

// --- internal ---

function gatherOutside({ flags, env }: ConfigRequest): readonly Given[] {
  return [...flags.given, ...readEnvironment(env)];
}

interface Gathered {
  /** Flags before variables. */
  readonly outside: readonly Given[];
  readonly top: readonly Given[];
  readonly pools: readonly PoolEntries[];
  readonly file: string | null;
}

async function gather(request: ConfigRequest, { lenient = false } = {}): Promise<Gathered> {
  const outside = gatherOutside(request);
  const asked = outside.find(({ key }) => key === 'config');
  const path = asked === undefined ? null : (understand(rowOf('config'), asked) as string);
  const file = await readConfigFile(path, request.cwd);
  if (file === null) return { outside, top: [], pools: [], file: null };
  const pools = lenient ? [] : readPoolEntries(file);
  return { outside, top: readEntries(file, lenient), pools, file: file.path };
}

/** `given` is in order of strength. */
function merge(given: readonly Given[]): Pick<Config, 'settings' | 'origins'> {
  const settings: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const row of SETTINGS as readonly SettingRow[]) {
    const winner = given.find(({ key }) => key === row.key);
    settings[propertyOf(row)] = winner === undefined ? row.default : understand(row, winner);
    origins[row.key] = winner?.origin ?? { source: 'default', where: 'default' };
  }
  return { settings: settings as Settings, origins: origins as Origins };
}

/** What cannot be the same for two pools. */
const OWN = ['app', 'args', 'port', 'host', 'kind', 'root', 'front-controller'];

function isOwn(key: string): boolean {
  return OWN.includes(key);
}

/** PORT and HOST are often there by chance; a flag or a variable of ours is meant. */
function refuseForeign(outside: readonly Given[]): void {
  const meant = outside.find(
    ({ key, name, origin }) => isOwn(key) && (origin.source === 'flag' || name === variableOf(key)),
  );
  if (meant === undefined) return;
  const message = `${meant.name} cannot be the same for several pools`;
  throw new CofferdamError('COF_CONFLICT', message, {
    hint: `Write ${meant.key} into the tables of the pools.`,
  });
}

function rowOf(key: SettingKey): SettingRow {
  const row: SettingRow | undefined = SETTINGS.find((row) => row.key === key);
  if (row === undefined) throw new CofferdamError('COF_INTERNAL', `no row for ${key}`);
  return row;
}

function understand(row: SettingRow, given: Given): unknown {
  const parsed = parseFileValue(row, given.value);
  if (parsed.ok) return parsed.value;
  const where = given.origin.source === 'file' ? ` (${given.origin.where})` : '';
  const hint = parsed.hint === undefined ? {} : { hint: parsed.hint };
  throw new CofferdamError(
    parsed.code ?? 'COF_BAD_VALUE',
    `${given.name} ${parsed.problem}${where}`,
    hint,
  );
}

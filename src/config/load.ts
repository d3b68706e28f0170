/**
 * Merges flags, environment, file and defaults into the settings, and remembers where each came
 * from.
 */
import { dirname, resolve } from 'node:path';
import { CofferdamError } from '../errors.ts';
import { readEnvironment } from './environment.ts';
import { readConfigFile, type ConfigFile } from './file.ts';
import type { Flags } from './flags.ts';
import type { Given, Origin } from './given.ts';
import { allowsSource, camelCase, kebabCase, propertyOf } from './setting-row.ts';
import type { SettingRow, SettingsOf } from './setting-row.ts';
import { SETTINGS, type SettingKey, type Settings } from './settings.ts';
import { suggest } from './suggest.ts';
import { validateSettings } from './validate.ts';
import { parseFileValue } from './values.ts';

export interface Config {
  readonly settings: Settings;
  readonly origins: Origins;
  /** Absolute path of the configuration file, if there is one. */
  readonly file: string | null;
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
  const { given, file } = await gather(request);
  const settings: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const row of SETTINGS as readonly SettingRow[]) {
    const winner = given.find(({ key }) => key === row.key);
    settings[propertyOf(row)] = winner === undefined ? row.default : understand(row, winner);
    origins[row.key] = winner?.origin ?? { source: 'default', where: 'default' };
  }
  const config = { settings: settings as Settings, origins: origins as Origins, file };
  validateSettings(config.settings);
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
  const winner = gatherOutside(request).find(isIt) ?? (await gather(request, key)).given.find(isIt);
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

/** All that was given, the strongest first. */
async function gather(
  request: ConfigRequest,
  only: SettingKey | null = null,
): Promise<{ given: readonly Given[]; file: string | null }> {
  const outside = gatherOutside(request);
  const asked = outside.find(({ key }) => key === 'config');
  const path = asked === undefined ? null : (understand(rowOf('config'), asked) as string);
  const file = await readConfigFile(path, request.cwd);
  if (file === null) return { given: outside, file: null };
  return { given: [...outside, ...readEntries(file, only)], file: file.path };
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

function readEntries(file: ConfigFile, only: SettingKey | null): readonly Given[] {
  const rows: readonly SettingRow[] = SETTINGS.filter((row) => allowsSource(row, 'file'));
  const found = new Map<string, Given>();
  for (const [name, value] of Object.entries(file.entries)) {
    if (value === undefined) continue;
    const line = file.lineOf(name);
    const where = line === null ? file.shownPath : `${file.shownPath}:${line}`;
    const row = rows.find(({ key }) => key === name || (file.camelCase && camelCase(key) === name));
    if (row === undefined) {
      if (only === null) throw unknownKey(name, where, rows);
      continue;
    }
    const twin = found.get(row.key);
    if (twin !== undefined) {
      const message = `${twin.name} and ${name} are the same setting (${where})`;
      throw new CofferdamError('COF_CONFLICT', message, { hint: 'Remove one of them.' });
    }
    const path = row.path === true && typeof value === 'string' && value !== '';
    found.set(row.key, {
      key: row.key,
      value: path ? resolve(dirname(file.path), value) : value,
      name,
      origin: { source: 'file', where },
    });
  }
  return [...found.values()];
}

function unknownKey(name: string, where: string, rows: readonly SettingRow[]): CofferdamError {
  const kebab = kebabCase(name);
  const elsewhere = rows.find((row) => row.elsewhere?.includes(kebab))?.key;
  const keys = rows.map(({ key }) => key);
  const guess = keys.find((key) => key === kebab) ?? elsewhere ?? suggest(kebab, keys);
  const notInFile = !keys.includes(kebab) && SETTINGS.some((row) => row.key === kebab);
  const message = notInFile
    ? `${name} cannot be set in a file (${where})`
    : `there is no setting ${JSON.stringify(name)} (${where})`;
  return new CofferdamError(
    'COF_UNKNOWN_SETTING',
    message,
    guess === undefined || guess === null ? {} : { hint: `Did you mean ${guess}?` },
  );
}

/** What a configuration file says: at its top for all, in the tables of its pools for one each. */
import { dirname, resolve } from 'node:path';
import { CofferdamError } from '../errors.ts';
import type { ConfigFile } from './file.ts';
import type { Given } from './given.ts';
import { allowsSource, camelCase, kebabCase, type SettingRow } from './setting-row.ts';
import { SETTINGS } from './settings.ts';
import { suggest } from './suggest.ts';

/** What one table of pools says. */
export interface PoolEntries {
  readonly name: string;
  readonly given: readonly Given[];
}

/** The key that holds the tables of the pools. */
const POOLS = 'pools';

/** As a label of metrics; `web-gateway` is the gateway in front of the pool `web`. */
const NAME_FORM = /^[a-z][a-z0-9-]{0,30}$/;

const TAKEN_FORM = /(?:^|-)(?:health|gateway)$/;

/** What is said for all pools. `lenient`: what is unknown is passed over, not refused. */
export function readEntries(file: ConfigFile, lenient: boolean): readonly Given[] {
  return readTable(file, { entries: file.entries, path: '', rows: fileRows(), lenient });
}

/** What is said for each pool; none where there are no such tables. Throws with exit code 2. */
export function readPoolEntries(file: ConfigFile): readonly PoolEntries[] {
  const tables = file.entries[POOLS];
  if (tables === undefined) return [];
  if (!isTable(tables) || Object.keys(tables).length === 0) {
    throw new CofferdamError('COF_BAD_VALUE', `${POOLS} must hold a table for each pool`, {
      hint: 'Write [pools.web] and [pools.api], each with an app.',
    });
  }
  return Object.entries(tables).map(([name, entries]) => {
    const path = `${POOLS}/${name}`;
    if (!NAME_FORM.test(name) || TAKEN_FORM.test(name)) {
      throw new CofferdamError('COF_BAD_VALUE', `${name} cannot be the name of a pool`, {
        hint: 'Use up to 31 small letters, digits and hyphens; not health or gateway at the end.',
      });
    }
    if (!isTable(entries)) {
      throw new CofferdamError('COF_BAD_VALUE', `${POOLS}.${name} must be a table of settings`);
    }
    const rows = fileRows().filter((row) => row.instance !== true);
    return { name, given: readTable(file, { entries, path: `${path}/`, rows, lenient: false }) };
  });
}

// --- internal ---

interface Table {
  readonly entries: Readonly<Record<string, unknown>>;
  /** Before the key, for its line: empty, or `pools/api/`. */
  readonly path: string;
  readonly rows: readonly SettingRow[];
  readonly lenient: boolean;
}

function fileRows(): readonly SettingRow[] {
  return (SETTINGS as readonly SettingRow[]).filter((row) => allowsSource(row, 'file'));
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readTable(file: ConfigFile, { entries, path, rows, lenient }: Table): readonly Given[] {
  const found = new Map<string, Given>();
  for (const [name, value] of Object.entries(entries)) {
    if (value === undefined || (path === '' && name === POOLS)) continue;
    const line = file.lineOf(path + name);
    const where = line === null ? file.shownPath : `${file.shownPath}:${line}`;
    const row = rows.find(({ key }) => key === name || (file.camelCase && camelCase(key) === name));
    if (row === undefined) {
      if (!lenient) throw unknownKey({ name, where, rows, value });
      continue;
    }
    const twin = found.get(row.key);
    if (twin !== undefined) {
      const message = `${twin.name} and ${name} are the same setting (${where})`;
      throw new CofferdamError('COF_CONFLICT', message, { hint: 'Remove one of them.' });
    }
    const isPath = row.path === true && typeof value === 'string' && value !== '';
    found.set(row.key, {
      key: row.key,
      value: isPath ? resolve(dirname(file.path), value) : value,
      name,
      origin: { source: 'file', where },
    });
  }
  return [...found.values()];
}

interface UnknownKey {
  readonly name: string;
  readonly where: string;
  readonly rows: readonly SettingRow[];
  readonly value: unknown;
}

function unknownKey({ name, where, rows, value }: UnknownKey): CofferdamError {
  const kebab = kebabCase(name);
  const elsewhere = rows.find((row) => row.elsewhere?.includes(kebab))?.key;
  const keys = rows.map(({ key }) => key);
  const guess = keys.find((key) => key === kebab) ?? elsewhere ?? suggest(kebab, keys);
  const row = (SETTINGS as readonly SettingRow[]).find((row) => row.key === kebab);
  const problem = (): string => {
    if (keys.includes(kebab) || row === undefined)
      return `there is no setting ${JSON.stringify(name)}`;
    return allowsSource(row, 'file')
      ? `${name} belongs to the whole instance, not to one pool`
      : `${name} cannot be set in a file`;
  };
  const hint = (): { readonly hint?: string } => {
    if (name === 'cofferdam' && isTable(value)) {
      return { hint: 'This file is all ours: write the settings at its top, without a header.' };
    }
    return guess === undefined || guess === null ? {} : { hint: `Did you mean ${guess}?` };
  };
  return new CofferdamError('COF_UNKNOWN_SETTING', `${problem()} (${where})`, hint());
}

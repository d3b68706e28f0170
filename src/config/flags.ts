/** The command line: flags made from the settings table, plus the few that a command adds. */
import { parseArgs } from 'node:util';
import { CofferdamError } from '../errors.ts';
import type { Given } from './given.ts';
import { allowsSource, kebabCase, type SettingRow } from './setting-row.ts';
import { SETTINGS, type SettingKey } from './settings.ts';
import { suggest } from './suggest.ts';

/** A command line, understood as far as words go; the values are checked by `readConfig`. */
export interface Flags {
  readonly given: readonly Given[];
  /** Switches of the command itself (`--json`) that were given. */
  readonly switches: ReadonlySet<string>;
  /** Positionals that are no setting, as the slot of `recycle`. */
  readonly words: readonly string[];
}

export interface FlagRules {
  /** The table of this command; that of `serve` by default. */
  readonly table?: readonly SettingRow[];
  /** Settings of the table that this command takes; all by default. */
  readonly settings?: readonly SettingKey[];
  /** Switches that only this command has, without dashes. */
  readonly switches?: readonly string[];
  /** How many positionals that are no setting may be given; 0 by default. */
  readonly wordsMax?: number;
}

/** Known to every command, handled by the command table. */
export const GLOBAL_SWITCHES = ['help', 'version', 'verbose'] as const;

/**
 * Throws COF_UNKNOWN_SETTING for a flag that does not exist, COF_USAGE for one that lacks its
 * value.
 */
export function parseFlags(argv: readonly string[], rules: FlagRules = {}): Flags {
  const rows = rowsOf(rules);
  const switches = [...(rules.switches ?? []), ...GLOBAL_SWITCHES];
  const given: Given[] = [];
  const seen = new Set<string>();
  const words: string[] = [];
  const rest: string[] = [];
  let terminated = false;
  for (const token of tokensOf(argv, rows)) {
    if (token.kind === 'option-terminator') terminated = true;
    else if (token.kind === 'positional') (terminated ? rest : words).push(token.value);
    else if (switches.includes(token.name) && token.value === undefined) seen.add(token.name);
    else given.push(giveFlag(token, rows, switches));
  }
  if (rows.some((row) => allowsSource(row, 'positional')) && words.length > 0) {
    given.push({ key: 'app', value: words.shift(), name: 'app', origin: flagOrigin('<app>') });
  }
  if (terminated && rows.some((row) => allowsSource(row, 'rest'))) {
    given.push({ key: 'args', value: rest, name: 'args', origin: flagOrigin('-- …') });
  } else words.push(...rest);
  refuseMoreWords(words, rules, rows);
  return { given: joinLists(given, rows), switches: seen, words };
}

// --- internal ---

interface OptionToken {
  readonly kind: 'option';
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
}

type Token =
  | OptionToken
  | { readonly kind: 'positional'; readonly value: string }
  | { readonly kind: 'option-terminator' };

function rowsOf({ table = SETTINGS, settings }: FlagRules): readonly SettingRow[] {
  const keys: readonly string[] | undefined = settings;
  return table.filter((row) => keys === undefined || keys.includes(row.key));
}

function tokensOf(argv: readonly string[], rows: readonly SettingRow[]): readonly Token[] {
  const flags = rows.filter((row) => allowsSource(row, 'flag'));
  const options = flags.map((row) => [
    row.key,
    {
      type: row.kind === 'boolean' ? ('boolean' as const) : ('string' as const),
      ...(row.short === undefined ? {} : { short: row.short }),
    },
  ]);
  // Not strict: its errors know neither our suggestions nor our codes.
  const { tokens } = parseArgs({
    args: [...argv],
    options: { ...Object.fromEntries(options), help: { type: 'boolean', short: 'h' } },
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  return tokens;
}

function giveFlag(
  token: OptionToken,
  rows: readonly SettingRow[],
  switches: readonly string[],
): Given {
  const flags = rows.filter((row) => allowsSource(row, 'flag'));
  const negated = token.name.startsWith('no-') ? token.name.slice(3) : null;
  const row = flags.find(({ key, kind }) =>
    kind === 'boolean' ? key === token.name || key === negated : key === token.name,
  );
  if (row === undefined) throw unknownFlag(token, flags, switches);
  const origin = flagOrigin(token.rawName);
  const name = token.rawName;
  if (row.kind === 'boolean') {
    if (row.key === negated) {
      if (token.value === undefined) return { key: row.key, value: false, name, origin };
      throw new CofferdamError('COF_USAGE', `${name} takes no value`);
    }
    return { key: row.key, value: token.value ?? true, name, origin };
  }
  // A list may hold options of Node; anywhere else the next flag is no value.
  const looksLikeFlag = token.value?.startsWith('--') === true && row.kind !== 'list';
  if (token.value === undefined || looksLikeFlag) {
    throw new CofferdamError('COF_USAGE', `${name} needs a value`);
  }
  return { key: row.key, value: token.value, name, origin };
}

function unknownFlag(
  token: OptionToken,
  flags: readonly SettingRow[],
  switches: readonly string[],
): CofferdamError {
  const elsewhere = flags.find((row) => row.elsewhere?.includes(kebabCase(token.name)));
  const names = flags.flatMap((row) =>
    row.kind === 'boolean' ? [row.key, `no-${row.key}`] : [row.key],
  );
  const guess = elsewhere?.key ?? suggest(kebabCase(token.name), [...names, ...switches]);
  const message = `there is no flag ${token.rawName}`;
  if (guess === null || token.name.length === 1) {
    return new CofferdamError('COF_UNKNOWN_SETTING', message);
  }
  return new CofferdamError('COF_UNKNOWN_SETTING', message, { hint: `Did you mean --${guess}?` });
}

/** A flag that is given twice: the last one counts, but lists grow. */
function joinLists(given: readonly Given[], rows: readonly SettingRow[]): readonly Given[] {
  const byKey = new Map<string, Given>();
  for (const next of given) {
    const before = byKey.get(next.key)?.value;
    const kind = rows.find(({ key }) => key === next.key)?.kind;
    const isText = typeof before === 'string' && typeof next.value === 'string';
    if (kind === 'texts') {
      const texts: readonly unknown[] = Array.isArray(before) ? before : [];
      byKey.set(next.key, { ...next, value: [...texts, next.value] });
    } else if (kind === 'list' && isText) {
      byKey.set(next.key, { ...next, value: `${before} ${next.value}` });
    } else byKey.set(next.key, next);
  }
  return [...byKey.values()];
}

function refuseMoreWords(
  words: string[],
  { wordsMax = 0 }: FlagRules,
  rows: readonly SettingRow[],
) {
  const extra = words[wordsMax];
  if (extra === undefined) return;
  const hint = rows.some((row) => allowsSource(row, 'rest'))
    ? 'Arguments for the app come after two dashes: `cofferdam serve app.js -- argument`.'
    : undefined;
  const message = `unexpected argument ${JSON.stringify(extra)}`;
  throw new CofferdamError('COF_USAGE', message, hint === undefined ? {} : { hint });
}

function flagOrigin(name: string): Given['origin'] {
  return { source: 'flag', where: name.startsWith('-') ? `flag ${name}` : `argument ${name}` };
}

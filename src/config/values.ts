/** Turns what a user wrote, as text or as a value of a file, into the value of a setting. */
import type { ErrorCode } from '../errors.ts';
import type { SettingKind, SettingRow, SettingValue, WorkerRange } from './setting-row.ts';
import { formatBytesExactly, formatDuration, formatShare } from './units.ts';
import { parseBytes, parseDuration, parseShare } from './units.ts';

/** `problem` follows the name of the setting: "must be a whole number, not …". */
export type Parsed =
  | { readonly ok: true; readonly value: SettingValue }
  | {
      readonly ok: false;
      readonly problem: string;
      readonly hint?: string;
      readonly code?: ErrorCode;
    };

/** From a flag or an environment variable. */
export function parseText(row: SettingRow, text: string): Parsed {
  const word = text.trim();
  if (row.auto === true && word === 'auto') return { ok: true, value: 'auto' };
  if (row.off === true && (word === 'off' || word === '0')) return { ok: true, value: 0 };
  if (text.includes('\0')) return bad('must not contain a NUL character');
  return PARSERS[row.kind](row, text);
}

/** From a configuration file: `value` is whatever TOML, JSON or JavaScript made of it. */
export function parseFileValue(row: SettingRow, value: unknown): Parsed {
  if (typeof value === 'string') return parseText(row, value);
  if (row.kind === 'list' || row.kind === 'texts') return parseList(value);
  if (row.kind === 'map') return parseMap(row, value);
  if (typeof value === 'boolean' && row.kind === 'boolean') return { ok: true, value };
  if (typeof value === 'number' || typeof value === 'bigint') return parseNumber(row, value);
  return bad(`must be ${describeValue(row)}, not ${show(value)}`, KINDS[row.kind].example);
}

/** As the user would write it; `formatValue` and `parseText` are inverse. */
export function formatValue(row: SettingRow, value: SettingValue): string {
  if (value === null) return 'none';
  if (value === 'auto') return 'auto';
  if (value === 0 && row.off === true) return 'off';
  switch (row.kind) {
    case 'bytes':
      return formatBytesExactly(value as number);
    case 'duration':
      return formatDuration(value as number);
    case 'share':
      return formatShare(value as number);
    case 'workers': {
      const { min, max } = value as WorkerRange;
      return min === max ? String(min) : `${min}..${max}`;
    }
    case 'list':
    case 'texts':
      return (value as readonly string[]).join(' ') || 'none';
    case 'map':
      return Object.keys(value as object).join(' ') || 'none';
    default:
      return typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
}

/** What the setting takes, to follow "must be": `a size with its unit, or off`. */
export function describeValue(row: SettingRow): string {
  if (row.pattern !== undefined) return row.pattern.words;
  if (row.choices !== undefined) return row.choices.join(' or ');
  const words = KINDS[row.kind].words;
  const more = [row.auto && 'auto', row.off && 'off'].filter(Boolean).join(' or ');
  return more === '' ? words : `${words}, or ${more}`;
}

// --- internal ---

/** How a kind is called after "must be", and how to write it. */
const KINDS: Readonly<Record<SettingKind, { readonly words: string; readonly example: string }>> = {
  integer: { words: 'a whole number', example: 'Write a whole number.' },
  bytes: {
    words: 'a size with its unit',
    example: 'Write a number and its unit: 512MiB, 1.5GiB, 200MB.',
  },
  duration: {
    words: 'a time with its unit',
    example: 'Write a number and its unit: 500ms, 30s, 1h30m.',
  },
  share: {
    words: 'a share in percent',
    example: 'Write a number and a percent sign: 10%.',
  },
  workers: {
    words: 'a number or a range MIN..MAX',
    example: 'Write auto, a number, or a range such as 2..8.',
  },
  enum: { words: 'one of a few words', example: 'Choose one of them.' },
  boolean: { words: 'true or false', example: 'Write true or false.' },
  string: { words: 'a text that is not empty', example: 'Write a text.' },
  list: { words: 'a list of texts', example: 'Write an array of texts.' },
  texts: { words: 'a text', example: 'Write a text.' },
  map: { words: 'a table of texts', example: 'Write a table of texts: NAME = "value".' },
};

const PARSERS: Readonly<Record<SettingKind, (row: SettingRow, text: string) => Parsed>> = {
  integer: (row, text) => inLimits(row, text, wholeNumber(text)),
  bytes: (row, text) => inLimits(row, text, parseBytes(text)),
  duration: (row, text) => inLimits(row, text, parseDuration(text)),
  share: (row, text) => inLimits(row, text, parseShare(text)),
  workers: parseWorkers,
  enum: (row, text) =>
    row.choices?.includes(text) === true ? { ok: true, value: text } : unlike(row, text),
  boolean: (row, text) => {
    const value = BOOLEANS[text.trim().toLowerCase()];
    return value === undefined ? unlike(row, text) : { ok: true, value };
  },
  string: (row, text) =>
    (row.pattern?.form ?? /./).test(text) ? { ok: true, value: text } : unlike(row, text),
  list: (_, text) => ({ ok: true, value: text.split(/\s+/).filter((word) => word !== '') }),
  texts: (_, text) => ({ ok: true, value: [text] }),
  map: unlike,
};

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  1: true,
  false: false,
  no: false,
  off: false,
  0: false,
};

function bad(problem: string, hint?: string): Parsed & { readonly ok: false } {
  return { ok: false, problem, ...(hint === undefined ? {} : { hint }) };
}

function unlike(row: SettingRow, text: string): Parsed {
  const guess = guessUnit(row, text);
  const hint = guess === null ? KINDS[row.kind].example : `Did you mean ${guess}?`;
  return bad(`must be ${describeValue(row)}, not ${show(text)}`, row.pattern ? undefined : hint);
}

function inLimits(row: SettingRow, text: string, value: number | null): Parsed {
  if (value === null) return unlike(row, text);
  const limits = row.limits;
  if (limits === undefined || (value >= limits.min && value <= limits.max)) {
    return { ok: true, value };
  }
  const end = value < limits.min ? 'at least' : 'at most';
  const limit = formatValue(
    { ...row, kind: row.kind },
    value < limits.min ? limits.min : limits.max,
  );
  const refusal = bad(`must be ${end} ${limit}, not ${text.trim()}`, `${sentence(limits.reason)}.`);
  return value < limits.min && limits.lowCode !== undefined
    ? { ...refusal, code: limits.lowCode }
    : refusal;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function wholeNumber(text: string): number | null {
  return /^-?\d{1,15}$/.test(text.trim()) ? Number(text) : null;
}

function parseWorkers(row: SettingRow, text: string): Parsed {
  const match = /^(\d{1,6})(?:\.\.(\d{1,6}))?$/.exec(text.trim());
  if (match?.[1] === undefined) return unlike(row, text);
  const min = Number(match[1]);
  const max = match[2] === undefined ? min : Number(match[2]);
  if (min > max) {
    return bad(`must have its minimum first, not ${show(text)}`, `Did you mean ${max}..${min}?`);
  }
  const integer: SettingRow = { ...row, kind: 'integer' };
  const outside = [min, max].map((end) => inLimits(integer, String(end), end)).find((p) => !p.ok);
  return outside ?? { ok: true, value: { min, max } };
}

/** Numbers of a file: right for counts, ambiguous for all that has a unit. */
function parseNumber(row: SettingRow, value: number | bigint): Parsed {
  if (row.off === true && Number(value) === 0) return { ok: true, value: 0 };
  if (row.kind === 'integer' || row.kind === 'workers') return parseText(row, String(value));
  const unit = { bytes: `"${value}MiB"`, duration: `"${value}s"`, share: `"${value}%"` };
  if (row.kind === 'bytes' || row.kind === 'duration' || row.kind === 'share') {
    return bad(
      `must be ${describeValue(row)}, not the bare number ${value}`,
      `Write it as a text with its unit, for example ${unit[row.kind]}.`,
    );
  }
  return bad(`must be ${describeValue(row)}, not ${value}`, KINDS[row.kind].example);
}

function parseList(value: unknown): Parsed {
  const texts = Array.isArray(value) ? value : [value];
  const wrong = texts.find((text) => typeof text !== 'string' || text.includes('\0'));
  return Array.isArray(value) && wrong === undefined
    ? { ok: true, value: texts as readonly string[] }
    : bad(`must be ${KINDS.list.words}, not ${show(wrong ?? value)}`, KINDS.list.example);
}

function parseMap(row: SettingRow, value: unknown): Parsed {
  if (!isTable(value)) {
    return bad(`must be ${KINDS.map.words}, not ${show(value)}`, KINDS.map.example);
  }
  const isDotted = row.dotted === true;
  const map: Record<string, string> = {};
  for (const [name, entry] of isDotted ? flatten(value) : Object.entries(value)) {
    if (!(isDotted ? /^[A-Za-z_][\w.-]*$/ : /^[A-Za-z_]\w*$/).test(name)) {
      const owner = isDotted ? 'setting of PHP' : 'variable';
      return bad(`has a name that no ${owner} can have: ${show(name)}`);
    }
    if (!['string', 'number', 'boolean'].includes(typeof entry) || String(entry).includes('\0')) {
      return bad(`has no text for ${name}, but ${show(entry)}`, KINDS.map.example);
    }
    map[name] = String(entry);
  }
  return { ok: true, value: map };
}

type Table = Readonly<Record<string, unknown>>;

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** To TOML `opcache.enable = 1` is a table in a table; to whoever writes it, a name with a dot. */
function flatten(table: Table): [name: string, entry: unknown][] {
  return Object.entries(table).flatMap(([name, entry]) =>
    isTable(entry)
      ? flatten(entry).map(([rest, leaf]): [string, unknown] => [`${name}.${rest}`, leaf])
      : [[name, entry]],
  );
}

/** `512M` → `512MiB`, `30sec` → `30s`: how others write it. */
function guessUnit(row: SettingRow, text: string): string | null {
  const word = text.trim();
  const [, amount = '', unit = ''] = /^(\d+(?:\.\d+)?) *([a-z]+)$/i.exec(word) ?? [];
  if (row.kind === 'bytes' && /^[kmgt]i?$/i.test(unit)) {
    return `${amount}${unit.charAt(0).toUpperCase()}iB`;
  }
  const [time] = /^(?:ms|[smhd])/i.exec(unit) ?? [];
  if (row.kind === 'duration' && time !== undefined) return `${amount}${time.toLowerCase()}`;
  if (row.kind === 'share' && /^0?\.\d+$/.test(word)) return formatShare(Number(word));
  return null;
}

const SHOWN_CHARACTERS_MAX = 60;

function show(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}

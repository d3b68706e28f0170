/** What one row of the settings table says, and which value each kind of setting has. */
import type { ErrorCode } from '../errors.ts';

/** Values as the rest of the program sees them: bytes, milliseconds, shares 0..1. */
export interface KindValues {
  integer: number;
  bytes: number;
  duration: number;
  share: number;
  workers: WorkerRange;
  enum: string;
  boolean: boolean;
  string: string;
  /** One text, split at spaces. */
  list: readonly string[];
  /** Each time it is given, one more text. */
  texts: readonly string[];
  map: Readonly<Record<string, string>>;
}

export type SettingKind = keyof KindValues;

/** `4` is 4..4; `2..8` starts with 2 and lets `scale` move in between. */
export interface WorkerRange {
  readonly min: number;
  readonly max: number;
}

/** `auto` is among the texts. */
export type SettingValue = KindValues[SettingKind] | null;

/** Parts of the reference of `serve` and the commands around it. */
export const GROUPS = [
  'Application',
  'Network',
  'Workers',
  'Recycling',
  'Memory',
  'Deadlines',
  'Gateway',
  'PHP and files',
  'Operations',
  'Output',
] as const;

/** Parts of the reference of `leak`. */
export const LEAK_GROUPS = [
  'Application',
  'Requests',
  'Experiment',
  'Comparison',
  'Report',
] as const;

/** Where a setting may be given; every flag has its `COFFERDAM_…` variable. */
export type SettingSource = 'flag' | 'env' | 'file' | 'positional' | 'rest';

export interface SettingRow {
  /** The one word for flag, file key and, in capitals, `COFFERDAM_…` variable. */
  readonly key: string;
  readonly kind: SettingKind;
  readonly short?: string;
  /** What stands for the value in help, if not the word of its kind: `--port <port>`. */
  readonly placeholder?: string;
  readonly default: SettingValue;
  /** How the default reads when the value itself says too little. */
  readonly defaultText?: string;
  /** Both ends included, in the unit of the kind; the reason is printed with the error. */
  readonly limits?: {
    readonly min: number;
    readonly max: number;
    readonly reason: string;
    /** For a value below `min`, if it is more than a bad value. */
    readonly lowCode?: ErrorCode;
  };
  readonly choices?: readonly string[];
  /** For strings: what they must look like, and how to say that. */
  readonly pattern?: { readonly form: RegExp; readonly words: string };
  /** For maps: names may have dots in them, as those of php.ini do. */
  readonly dotted?: true;
  /** 0 switches it off; `off` is the same. */
  readonly off?: true;
  /** The word `auto` is a value: decided by the machine at start. */
  readonly auto?: true;
  /** Relative paths in a file belong to the folder of that file. */
  readonly path?: true;
  readonly group: (typeof GROUPS)[number] | (typeof LEAK_GROUPS)[number];
  readonly sentence: string;
  /** Belongs to the instance: a pool cannot have its own. */
  readonly instance?: true;
  /** False: a new value needs a restart; all others are applied by a reload. */
  readonly reload?: false;
  /** Where it may be given; flag, environment and file if nothing is said. */
  readonly sources?: readonly SettingSource[];
  /** Variables that are no invention of ours, after `COFFERDAM_…`. */
  readonly commonVariables?: readonly string[];
  /** What other servers call it: for suggestions only. */
  readonly elsewhere?: readonly string[];
}

/**
 * Settings of a table, checked and complete. Property names are the keys in camelCase with their
 * unit at the end: `drainTimeoutMs`, `maxMemoryBytes`; shares are 0..1; 0 is off where off is
 * allowed.
 */
export type SettingsOf<Row extends SettingRow> = {
  readonly [R in Row as PropertyOf<R>]: ValueOf<R>;
};

const EVERYWHERE: readonly SettingSource[] = ['flag', 'env', 'file'];

export function allowsSource(row: SettingRow, source: SettingSource): boolean {
  return (row.sources ?? EVERYWHERE).includes(source);
}

const PLACEHOLDERS: Readonly<Record<SettingKind, string>> = {
  integer: '<n>',
  bytes: '<size>',
  duration: '<time>',
  share: '<share>',
  workers: '<n>',
  enum: '<word>',
  boolean: '',
  string: '<text>',
  list: '<list>',
  texts: '<text>',
  map: '<table>',
};

export function placeholderOf(row: SettingRow): string {
  return row.placeholder ?? row.choices?.join('|') ?? PLACEHOLDERS[row.kind];
}

/** `max-memory` → `maxMemory`: the other spelling that .json and .mjs files may use. */
export function camelCase(key: string): string {
  return key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** `maxMemory`, `max_memory` → `max-memory`. */
export function kebabCase(key: string): string {
  return key.replaceAll('_', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `max-memory` → `COFFERDAM_MAX_MEMORY`. */
export function variableOf(key: string): string {
  return `COFFERDAM_${key.replaceAll('-', '_').toUpperCase()}`;
}

/** `max-memory` → `maxMemoryBytes`: where the settings hold it, with its unit at the end. */
export function propertyOf(row: SettingRow): string {
  return camelCase(row.key) + (UNIT_SUFFIXES[row.kind] ?? '');
}

// --- internal ---

const UNIT_SUFFIXES: Readonly<Partial<Record<SettingKind, string>>> = {
  duration: 'Ms',
  bytes: 'Bytes',
};

type CamelCase<Key extends string> = Key extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Key;

type Suffix<Kind> = Kind extends 'duration' ? 'Ms' : Kind extends 'bytes' ? 'Bytes' : '';

type PropertyOf<R extends SettingRow> = `${CamelCase<R['key']>}${Suffix<R['kind']>}`;

type ValueOf<R extends SettingRow> =
  | (R extends { readonly choices: readonly (infer Choice)[] } ? Choice : KindValues[R['kind']])
  | (R extends { readonly auto: true } ? 'auto' : never)
  | (R['default'] extends null ? null : never);

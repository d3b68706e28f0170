/** The flags of `cofferdam leak`: one table for the parser and for `--help`. */
import { parseArgs } from 'node:util';
import { suggest } from '../config/suggest.ts';
import { parseBytes, parseDuration } from '../config/units.ts';
import { CofferdamError } from '../errors.ts';

interface LeakFlag {
  readonly name: string;
  readonly kind: 'text' | 'list' | 'number' | 'duration' | 'bytes' | 'switch';
  readonly placeholder?: string;
  readonly sentence: string;
  readonly min?: number;
  readonly max?: number;
}

const DAY_MS = 86_400_000;

export const LEAK_FLAGS = [
  { name: 'path', kind: 'text', placeholder: '<path>', sentence: 'What to request. [/]' },
  { name: 'method', kind: 'text', placeholder: '<word>', sentence: 'HTTP method. [GET]' },
  { name: 'body', kind: 'text', placeholder: '<file>', sentence: 'File whose text is the body.' },
  { name: 'header', kind: 'list', placeholder: '<name: value>', sentence: 'A header; repeatable.' },
  {
    name: 'script',
    kind: 'text',
    placeholder: '<file>',
    sentence: 'File of requests: a line each (`POST /cart {"n":{{n}}}`), JSON, or HAR.',
  },
  {
    name: 'requests',
    kind: 'number',
    placeholder: '<n>',
    sentence: 'Stop the load after so many. [off]',
    min: 100,
    max: 1e9,
  },
  {
    name: 'duration',
    kind: 'duration',
    placeholder: '<time>',
    sentence: 'Time for warm-up and load; a clear leak needs less. [60s]',
    min: 2000,
    max: DAY_MS,
  },
  {
    name: 'rate',
    kind: 'number',
    placeholder: '<n>',
    sentence: 'Requests per second. [found in the warm-up, at most 1000]',
    min: 0.1,
    max: 20_000,
  },
  {
    name: 'connections',
    kind: 'number',
    placeholder: '<n>',
    sentence: 'Requests on their way at once, at most. [20]',
    min: 1,
    max: 900,
  },
  {
    name: 'batch',
    kind: 'number',
    placeholder: '<n>',
    sentence: 'Requests between two checkpoints. [what 0.4 s hold, 20 to 400]',
    min: 5,
    max: 100_000,
  },
  {
    name: 'rest',
    kind: 'duration',
    placeholder: '<time>',
    sentence: 'Idle time at the end, for leaks that need no request. [5s]',
    min: 0,
    max: DAY_MS,
  },
  { name: 'thorough', kind: 'switch', sentence: 'Ten times the requests, to see 10 B/request.' },
  {
    name: 'any-status',
    kind: 'switch',
    sentence: 'Test an answer that is an error or a redirect.',
  },
  {
    name: 'baseline',
    kind: 'text',
    placeholder: '<app>',
    sentence: 'Compare with another app under the same load.',
  },
  {
    name: 'arm',
    kind: 'list',
    placeholder: "<name='…'>",
    sentence: 'Compare with a variable, a Node option, a Node binary or an app; repeatable.',
  },
  { name: 'report', kind: 'text', placeholder: '<file>', sentence: 'The page. [leak.html]' },
  { name: 'no-report', kind: 'switch', sentence: 'Write no page.' },
  { name: 'json', kind: 'switch', sentence: 'Print the report as JSON.' },
  {
    name: 'pprof',
    kind: 'text',
    placeholder: '<file>',
    sentence: 'Write the heap profile as pprof.',
  },
  {
    name: 'keep-snapshots',
    kind: 'text',
    placeholder: '<folder>',
    sentence: 'Keep the three heap snapshots.',
  },
  {
    name: 'diff',
    kind: 'switch',
    sentence: 'Read two or three snapshots instead of running an app.',
  },
  {
    name: 'memory-limit',
    kind: 'bytes',
    placeholder: '<size>',
    sentence: 'What one worker may have, for the advice. [512MiB]',
    min: 1 << 20,
    max: 2 ** 50,
  },
  {
    name: 'traffic',
    kind: 'number',
    placeholder: '<n>',
    sentence: 'Requests per second in production, for the advice. [50]',
    min: 0.001,
    max: 1e6,
  },
  { name: 'node-args', kind: 'text', placeholder: '<args>', sentence: 'Options for Node.' },
  {
    name: 'boot-timeout',
    kind: 'duration',
    placeholder: '<time>',
    sentence: 'Time to listen. [30s]',
    min: 100,
    max: DAY_MS,
  },
  { name: 'verbose', kind: 'switch', sentence: "Show the app's own output." },
] as const satisfies readonly LeakFlag[];

type Name = (typeof LEAK_FLAGS)[number]['name'];

export interface LeakArguments {
  /** App, or snapshots with `--diff`. */
  readonly words: readonly string[];
  readonly appArgs: readonly string[];
  readonly text: (name: Name) => string | null;
  readonly list: (name: Name) => readonly string[];
  readonly has: (name: Name) => boolean;
  /** Numbers as they are, durations in ms, sizes in bytes; null when not given. */
  readonly number: (name: Name) => number | null;
}

/** Rows for `--help`. */
export function leakSwitches(): readonly (readonly [string, string])[] {
  return LEAK_FLAGS.map((flag: LeakFlag) => [
    `    --${flag.name} ${flag.placeholder ?? ''}`.trimEnd(),
    flag.sentence,
  ]);
}

/** @throws CofferdamError COF_UNKNOWN_SETTING, COF_BAD_VALUE, COF_USAGE */
export function parseLeakFlags(argv: readonly string[]): LeakArguments {
  const end = argv.indexOf('--');
  const own = end < 0 ? [...argv] : argv.slice(0, end);
  const options = Object.fromEntries(
    LEAK_FLAGS.map((flag: LeakFlag) => [
      flag.name,
      { type: flag.kind === 'switch' ? ('boolean' as const) : ('string' as const), multiple: true },
    ]),
  );
  const { values, positionals, tokens } = parseArgs({
    args: own,
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  for (const token of tokens) if (token.kind === 'option') checkToken(token.name, token.value);
  const given = values as Partial<Record<string, (string | boolean)[]>>;
  const text = (name: string): string | null => {
    const last = given[name]?.at(-1);
    return typeof last === 'string' ? last : null;
  };
  return {
    words: positionals,
    appArgs: end < 0 ? [] : argv.slice(end + 1),
    text,
    list: (name) => (given[name] ?? []).filter((value) => typeof value === 'string'),
    has: (name) => given[name] !== undefined,
    number: (name) => numberOf(name, text(name)),
  };
}

// --- internal ---

function find(name: string): LeakFlag | undefined {
  return LEAK_FLAGS.find((flag) => flag.name === name);
}

function checkToken(name: string, value: string | undefined): void {
  const flag = find(name);
  if (flag === undefined) {
    const guess = suggest(
      name,
      LEAK_FLAGS.map((one) => one.name),
    );
    const hint = guess === null ? 'See `cofferdam help leak`.' : `Did you mean --${guess}?`;
    throw new CofferdamError('COF_UNKNOWN_SETTING', `there is no flag --${name}`, { hint });
  }
  if (flag.kind === 'switch' && value !== undefined) {
    throw new CofferdamError('COF_BAD_VALUE', `--${name} takes no value`);
  }
  if (flag.kind !== 'switch' && value === undefined) {
    throw new CofferdamError('COF_USAGE', `--${name} needs a value: ${flag.placeholder}`);
  }
}

const FORMS: Readonly<Partial<Record<LeakFlag['kind'], string>>> = {
  number: 'a number',
  duration: 'a time with its unit (30s, 2m)',
  bytes: 'a size with its unit (512MiB)',
};

function numberOf(name: string, text: string | null): number | null {
  const flag = find(name);
  if (text === null || flag === undefined) return null;
  const parsers = { number: Number, duration: parseDuration, bytes: parseBytes } as const;
  const parse = parsers[flag.kind as keyof typeof parsers];
  const value = text.trim() === '' ? null : parse(text);
  if (value === null || !Number.isFinite(value)) {
    const message = `--${name} ${JSON.stringify(text)} is not ${FORMS[flag.kind] ?? 'understood'}`;
    throw new CofferdamError('COF_BAD_VALUE', message);
  }
  if (value < (flag.min ?? -Infinity) || value > (flag.max ?? Infinity)) {
    throw new CofferdamError('COF_BAD_VALUE', `--${name} ${text} is out of its limits`);
  }
  return value;
}

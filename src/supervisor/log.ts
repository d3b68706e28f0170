/**
 * The log: one event, one line, on stderr (stdout belongs to the app). `pretty` for people, `json`
 * for machines; both carry the same event names and fields.
 */
import { styleText } from 'node:util';
import { formatBytes, formatDuration } from '../config/units.ts';
import { createLineOutput, type LineOutput } from './output.ts';

export type Level = 'info' | 'warn' | 'error';

/**
 * `…Ms` fields are milliseconds and `…Bytes` fields bytes: `pretty` prints them with their unit.
 */
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Log {
  write(level: Level, event: string, fields?: Fields): void;
}

export interface LogOptions {
  /** `auto`: pretty on a terminal, else json. */
  readonly format: 'auto' | 'pretty' | 'json';
  /** Only warnings and errors. */
  readonly quiet: boolean;
  readonly stream: NodeJS.WriteStream;
}

export async function createLog(options: LogOptions): Promise<Log> {
  const { format, stream } = options;
  const pretty = format === 'pretty' || (format === 'auto' && stream.isTTY);
  const output = createLineOutput(stream, (count) => write('warn', 'log_lines_lost', { count }));
  const write = pretty ? prettyWriter(stream, output) : await jsonWriter(output);
  return {
    write(level, event, fields = {}) {
      if (options.quiet && level === 'info') return;
      write(level, event, fields);
    },
  };
}

/** `max-memory=200MiB`: kebab-case keys, units instead of suffixes, quotes only where needed. */
export function formatFields(fields: Fields): string {
  return Object.entries(fields)
    .filter(([name, value]) => isWorthALook(name, value))
    .map(([name, value]) => formatField(name, value as string | number | boolean))
    .join(' ');
}

// --- internal ---

type Writer = (level: Level, event: string, fields: Fields) => void;

/** pino costs 2.7 MB of anonymous memory (docs/decisions): only who asks for JSON pays for it. */
async function jsonWriter(output: LineOutput): Promise<Writer> {
  const { pino } = await import('pino');
  const logger = pino(
    {
      // A `pid` in an event is the worker's; ours is in `starting`.
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    output,
  );
  return (level, event, fields) => logger[level]({ event, ...fields });
}

const COLORS = { info: 'cyan', warn: 'yellow', error: 'red' } as const;

function prettyWriter(stream: LogOptions['stream'], output: LineOutput): Writer {
  const colored = stream.isTTY && stream.hasColors();
  const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
    colored ? styleText(style, text) : text;
  return (level, event, fields) => {
    const time = paint('dim', new Date().toISOString().slice(11, 23));
    const name = paint(COLORS[level], event.replaceAll('_', ' ').padEnd(16));
    output.write(`${time} ${name} ${formatFields(fields)}\n`);
  };
}

/** What is worth reading only when it is not zero; JSON has it always. */
const SILENT_WHEN_ZERO: ReadonlySet<string> = new Set([
  'moved',
  'cutRequests',
  'cutLongLived',
  'killed',
  'breakFirst',
]);

function isWorthALook(name: string, value: Fields[string]): boolean {
  if (value === undefined || value === null || value === '') return false;
  return Boolean(value) || !SILENT_WHEN_ZERO.has(name);
}

function formatField(name: string, value: string | number | boolean): string {
  const kebab = (text: string): string =>
    text.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (typeof value === 'number' && name.endsWith('Ms')) {
    return `${kebab(name.slice(0, -2))}=${formatDuration(Math.round(value))}`;
  }
  if (typeof value === 'number' && name.endsWith('Bytes')) {
    return `${kebab(name.slice(0, -5))}=${formatBytes(value)}`;
  }
  const text = String(value);
  return `${kebab(name)}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
}

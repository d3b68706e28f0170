/** The configuration file: finds it, reads it, and remembers the line of each key. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, extname, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CofferdamError } from '../errors.ts';
import { findJsonPositions, lineAndColumn } from './json-positions.ts';

export interface ConfigFile {
  /** Absolute. */
  readonly path: string;
  /** For messages: relative to the working folder where that is shorter. */
  readonly shownPath: string;
  readonly entries: Readonly<Record<string, unknown>>;
  /** 1-based, by the path of the key (`pools/api/port`); null where it is unknown (JavaScript). */
  readonly lineOf: (key: string) => number | null;
  /** `.toml` takes kebab-case keys only; JSON and JavaScript camelCase as well. */
  readonly camelCase: boolean;
}

/**
 * Reads `asked`, or what is found in `cwd` (never above it). Null when there is none. Throws
 * COF_CONFIG_NOT_FOUND, COF_CONFIG_UNREADABLE, COF_CONFIG_SYNTAX with line and column,
 * COF_CONFLICT.
 */
export async function readConfigFile(
  asked: string | null,
  cwd: string,
): Promise<ConfigFile | null> {
  const path = asked === null ? findConfigFile(cwd) : resolve(cwd, asked);
  if (path === null) return null;
  const shownPath = shorten(path, cwd);
  if (basename(path) === 'package.json') return readPackage(path, shownPath, asked !== null);
  switch (extname(path)) {
    case '.toml':
      return readToml(path, shownPath);
    case '.json':
      return readJson(path, shownPath);
    case '.mjs':
      return await readModule(path, shownPath);
    default:
      throw new CofferdamError(
        'COF_USAGE',
        `a configuration file must end in .toml, .json or .mjs, not as ${shownPath}`,
      );
  }
}

/** Relative to `cwd` when it lies below, else absolute. */
export function shorten(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short === '' || short.startsWith('..') ? path : short;
}

// --- internal ---

const NAMES = ['cofferdam.toml', 'cofferdam.json', 'cofferdam.mjs'] as const;

/** A configuration is a page of text: what is larger is the wrong path. */
const FILE_BYTES_MAX = 1024 * 1024;

/** A module that waits for ever would hold the start, or a reload, for ever. */
const MODULE_TIMEOUT_MS = 10_000;

let moduleReads = 0;

function findConfigFile(cwd: string): string | null {
  const [first, second] = NAMES.filter((name) => existsSync(resolve(cwd, name)));
  if (first !== undefined && second !== undefined) {
    throw new CofferdamError('COF_CONFLICT', `there are both ${first} and ${second}`, {
      hint: 'Remove one, or choose with --config.',
    });
  }
  if (first !== undefined) return resolve(cwd, first);
  const manifest = resolve(cwd, 'package.json');
  return existsSync(manifest) ? manifest : null;
}

function readText(path: string, shownPath: string): string {
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) throw unreadable(shownPath, 'is larger than 1MiB');
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    if (error instanceof CofferdamError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new CofferdamError('COF_CONFIG_NOT_FOUND', `there is no file ${shownPath}`);
    }
    const reasons: Record<string, string> = {
      EISDIR: 'is a folder',
      EACCES: 'cannot be read: permission denied',
    };
    throw unreadable(shownPath, reasons[code] ?? `cannot be read: ${code}`, error);
  }
}

function unreadable(shownPath: string, problem: string, cause?: unknown): CofferdamError {
  return new CofferdamError('COF_CONFIG_UNREADABLE', `${shownPath} ${problem}`, { cause });
}

function syntaxError(where: string, problem: string): CofferdamError {
  return new CofferdamError('COF_CONFIG_SYNTAX', `${where}: ${problem}`);
}

async function readToml(path: string, shownPath: string): Promise<ConfigFile> {
  const text = readText(path, shownPath);
  // Only who has a TOML file pays for the parser.
  const { parse, TomlError } = await import('smol-toml');
  try {
    const lineOf = (key: string): number | null => lineOfTomlKey(text, key);
    return { path, shownPath, entries: parse(text), lineOf, camelCase: false };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const problem = error.message.split('\n')[0]?.replace('Invalid TOML document: ', '') ?? '';
    throw syntaxError(`${shownPath}:${error.line}:${error.column}`, problem);
  }
}

/** The first match after the header of its table; keys of the root come before all headers. */
function lineOfTomlKey(text: string, path: string): number | null {
  const steps = path.split('/');
  const key = steps.pop() ?? '';
  const quoted = (word: string): string => `["']?${word}["']?`;
  const lines = text.split('\n');
  const header = new RegExp(
    `^[ \\t]*\\[[ \\t]*${steps.map(quoted).join('[ \\t]*\\.[ \\t]*')}[ \\t]*\\]`,
  );
  const start = steps.length === 0 ? 0 : lines.findIndex((line) => header.test(line)) + 1;
  const form = new RegExp(`^[ \\t]*(?:\\[[ \\t]*)?${quoted(key)}[ \\t]*[=.\\]]`);
  const index = lines.slice(start).findIndex((line) => form.test(line));
  return index === -1 ? null : start + index + 1;
}

function readJson(path: string, shownPath: string): ConfigFile {
  const text = readText(path, shownPath);
  const { errorIndex, keys } = findJsonPositions(text);
  if (errorIndex !== null) {
    const { line, column } = lineAndColumn(text, errorIndex);
    const found = text.slice(errorIndex, errorIndex + 1);
    const problem = found === '' ? 'unexpected end' : `unexpected ${JSON.stringify(found)}`;
    throw syntaxError(`${shownPath}:${line}:${column}`, problem);
  }
  const entries = asTable(JSON.parse(text), shownPath);
  const lineOf = (key: string): number | null => {
    const index = keys.get(key);
    return index === undefined ? null : lineAndColumn(text, index).line;
  };
  return { path, shownPath, entries, lineOf, camelCase: true };
}

/** Only its `cofferdam` key; without one, there is no configuration file. */
function readPackage(path: string, shownPath: string, asked: boolean): ConfigFile | null {
  const manifest = readJson(path, shownPath);
  const inner = manifest.entries['cofferdam'];
  if (inner === undefined) {
    if (!asked) return null;
    throw syntaxError(shownPath, 'it has no "cofferdam" key');
  }
  return {
    ...manifest,
    entries: asTable(inner, `${shownPath}#cofferdam`),
    lineOf: (key) => manifest.lineOf(`cofferdam/${key}`),
  };
}

async function readModule(path: string, shownPath: string): Promise<ConfigFile> {
  readText(path, shownPath);
  const module = await importModule(path, shownPath);
  if (module.default === undefined) throw syntaxError(shownPath, 'it has no default export');
  const entries = asTable(module.default, shownPath);
  return { path, shownPath, entries, lineOf: () => null, camelCase: true };
}

async function importModule(path: string, shownPath: string): Promise<{ default?: unknown }> {
  // A reload must see the file as it is now, not as it was first imported.
  moduleReads += 1;
  const url = `${pathToFileURL(path).href}?read=${moduleReads}`;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const late = unreadable(shownPath, 'did not finish loading within 10s');
    timer = setTimeout(() => reject(late), MODULE_TIMEOUT_MS);
  });
  try {
    return await Promise.race([import(url) as Promise<{ default?: unknown }>, timeout]);
  } catch (error) {
    if (error instanceof CofferdamError) throw error;
    throw syntaxError(...explainModuleError(error, path, shownPath));
  } finally {
    clearTimeout(timer);
  }
}

function explainModuleError(error: unknown, path: string, shownPath: string): [string, string] {
  const problem = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const place = /\?read=\d+:(\d+:\d+)/.exec(stack)?.[1];
  if (place !== undefined) return [`${shownPath}:${place}`, problem];
  // An import() that fails to parse does not say where; Node's own check does, under a caret.
  const check = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8', timeout: 5000 });
  const [, line, column] = /:(\d+)\n[^\n]*\n( *)\^/.exec(check.stderr ?? '') ?? [];
  if (line === undefined || column === undefined) return [shownPath, problem];
  return [`${shownPath}:${line}:${column.length + 1}`, problem];
}

function asTable(value: unknown, shownPath: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw syntaxError(shownPath, 'it must hold a table of settings');
}

/**
 * What is sent to the app: one path, a file of requests, or a HAR recording; unique or identical.
 */
import { readFile } from 'node:fs/promises';
import { CofferdamError } from '../errors.ts';
import type { RequestTemplate } from './load.ts';

export interface RequestOptions {
  readonly path: string;
  readonly method: string;
  /** Text of the body, or null. */
  readonly body: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * A file of requests (.json, .har, or a line each: `POST /cart {"n":{{n}}}`); null = the path.
   */
  readonly script: string | null;
}

/** More kinds of requests say nothing more, and a HAR of a day holds thousands. */
export const TEMPLATES_LIMIT = 500;

/** `{{n}}` is the number of the request, counted over the whole run. */
const NUMBER_MARK = /\{\{\s*n\s*\}\}/g;

/** @throws CofferdamError COF_BAD_VALUE naming the file and what is wrong in it. */
export async function readRequests(options: RequestOptions): Promise<RequestTemplate[]> {
  if (options.script === null) {
    const { method, path, headers, body } = options;
    if (!isLocalPath(path)) throw bad(path, 'is no path: it has to begin with one "/"');
    return [{ method, path, headers, ...(body === null ? {} : { body }) }];
  }
  let text: string;
  try {
    text = await readFile(options.script, 'utf8');
  } catch (cause) {
    throw bad(options.script, 'cannot be read', cause);
  }
  const templates = parseScript(text, options.script);
  const stray = templates.find(({ path }) => !isLocalPath(path));
  if (stray !== undefined) throw bad(options.script, `names another host: ${stray.path}`);
  if (templates.length === 0) throw bad(options.script, 'holds no request');
  return templates.slice(0, TEMPLATES_LIMIT);
}

export function hasNumber(templates: readonly RequestTemplate[]): boolean {
  return templates.some(({ path, body, headers }) =>
    [path, body ?? '', ...Object.values(headers ?? {})].some(
      (text) => text.search(NUMBER_MARK) >= 0,
    ),
  );
}

/**
 * The templates of one batch. The generator numbers requests from 1 in each load; `offset` keeps
 * them unique over the run.
 */
export function numberTemplates(
  templates: readonly RequestTemplate[],
  mode: 'unique' | 'identical' | 'as given',
  offset: number,
): RequestTemplate[] {
  // A template that brings no mark of its own gets one in the query: new URL, same route.
  const mark = mode === 'unique' && !hasNumber(templates);
  const number = mode === 'identical' ? '1' : `${offset}-{id}`;
  const fill = (text: string): string => text.replaceAll(NUMBER_MARK, number);
  return templates.map(({ headers, ...template }) => ({
    ...template,
    ...(headers === undefined ? {} : { headers: mapValues(headers, fill) }),
    path: mark ? addQuery(template.path, `cofferdam=${number}`) : fill(template.path),
    ...(template.body === undefined ? {} : { body: fill(template.body) }),
  }));
}

// --- internal ---

function mapValues(
  headers: Readonly<Record<string, string>>,
  change: (value: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, change(value)]));
}

function bad(file: string, why: string, cause?: unknown): CofferdamError {
  const hint =
    'A line is `GET /path` or `POST /path body`; ' +
    '.json is a list of {method, path, headers, body}; ' +
    '.har is what browsers save.';
  return new CofferdamError('COF_BAD_VALUE', `${file} ${why}`, { cause, hint });
}

/** `//host/path` is a URL on another host, which must never get our load. */
function isLocalPath(path: string): boolean {
  return /^\/(?![/\\])/.test(path);
}

function addQuery(path: string, query: string): string {
  return path + (path.includes('?') ? '&' : '?') + query;
}

function parseScript(text: string, file: string): RequestTemplate[] {
  if (!/^\s*[[{]/.test(text)) return parseLines(text, file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw bad(file, 'is not valid JSON', cause);
  }
  if (Array.isArray(value)) return value.map((entry, at) => readEntry(entry, file, at));
  const entries = (value as { log?: { entries?: unknown } }).log?.entries;
  if (!Array.isArray(entries)) throw bad(file, 'is neither a list of requests nor a HAR');
  const read = entries.map((entry, at) => readHarEntry(entry, file, at));
  // A page asks other hosts too, for fonts and statistics; the app is the one it came from.
  return read.filter(({ host }) => host === read[0]?.host).map(({ template }) => template);
}

function parseLines(text: string, file: string): RequestTemplate[] {
  const templates: RequestTemplate[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const match = /^(?:([A-Z]+) +)?(\/\S*)(?: +(.+))?$/.exec(trimmed);
    if (match?.[2] === undefined) throw bad(file, `line ${at + 1} is no request: ${trimmed}`);
    const [, method = 'GET', path, body] = match;
    templates.push({ method, path, ...bodyOf(body) });
  }
  return templates;
}

function bodyOf(body: string | undefined): { body?: string; headers?: Record<string, string> } {
  if (body === undefined) return {};
  const json = body.startsWith('{') || body.startsWith('[');
  return json ? { body, headers: { 'content-type': 'application/json' } } : { body };
}

interface RawEntry {
  method?: unknown;
  path?: unknown;
  headers?: unknown;
  body?: unknown;
  weight?: unknown;
}

function readEntry(entry: unknown, file: string, at: number): RequestTemplate {
  const { method, path, headers, body, weight } = (entry ?? {}) as RawEntry;
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw bad(file, `request ${at + 1} has no "path" that begins with "/"`);
  }
  const text = typeof body === 'string' ? body : body === undefined ? null : JSON.stringify(body);
  return {
    path,
    method: typeof method === 'string' ? method : 'GET',
    ...(headers !== null && typeof headers === 'object'
      ? { headers: headers as Record<string, string> }
      : {}),
    ...(text === null ? {} : { body: text }),
    ...(typeof weight === 'number' ? { weight } : {}),
  };
}

interface HarEntry {
  request?: {
    method?: string;
    url?: string;
    headers?: { name: string; value: string }[];
    postData?: { text?: string };
  };
}

/**
 * The connection of the browser is not ours, its host is not where we send, and what it had in its
 * cache we have not.
 */
const DROPPED_HEADERS =
  /^(:.*|host|connection|content-length|accept-encoding|transfer-encoding|if-(none-match|modified-since))$/i;

function readHarEntry(
  entry: unknown,
  file: string,
  at: number,
): { host: string; template: RequestTemplate } {
  const { request } = (entry ?? {}) as HarEntry;
  let url: URL;
  try {
    url = new URL(request?.url ?? '');
  } catch (cause) {
    throw bad(file, `entry ${at + 1} has no valid "request.url"`, cause);
  }
  const headers: Record<string, string> = {};
  for (const { name, value } of request?.headers ?? []) {
    if (!DROPPED_HEADERS.test(name)) headers[name] = value;
  }
  const body = request?.postData?.text;
  const path = url.pathname + url.search;
  const template = { method: request?.method ?? 'GET', path, headers };
  return { host: url.host, template: body === undefined ? template : { ...template, body } };
}

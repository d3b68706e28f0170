/** Header fields from one side to the other: only what is meant for the other end passes. */

/** Name and value in turn, as Node has them in `rawHeaders`. */
export type RawFields = readonly string[];

/** Removed on both ways: they belong to one connection (RFC 9110, 7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The fields for the other end, in the same form; `isDropped` takes more of them away (it gets
 * names in lower case). Pseudo-fields of HTTP/2 are dropped, cookies that it split are joined.
 */
export function passFields(raw: RawFields, isDropped: (name: string) => boolean): string[] {
  const named = namedByConnection(raw);
  const passed: string[] = [];
  let cookieAt = -1;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? '';
    const value = raw[index + 1] ?? '';
    const lower = name.toLowerCase();
    if (lower.startsWith(':') || HOP_BY_HOP.has(lower)) continue;
    if (named?.has(lower) === true || isDropped(lower)) continue;
    if (lower === 'cookie' && cookieAt !== -1) passed[cookieAt] += `; ${value}`;
    else {
      if (lower === 'cookie') cookieAt = passed.length + 1;
      passed.push(name, value);
    }
  }
  return passed;
}

/**
 * The same as a record, for HTTP/2 (whose `writeHead` would keep one of several equal names). Of a
 * field that can have one value only the first counts, as for browsers: Node throws at a second.
 */
export function asRecord(fields: RawFields): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = Object.create(null);
  for (let index = 0; index < fields.length; index += 2) {
    const name = (fields[index] ?? '').toLowerCase();
    const value = fields[index + 1] ?? '';
    const before = record[name];
    if (before !== undefined && hasOneValue(name)) continue;
    if (before === undefined) record[name] = value;
    else record[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return record;
}

/** For `addTrailers`. */
export function inPairs(fields: RawFields): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < fields.length; index += 2) {
    pairs.push([fields[index] ?? '', fields[index + 1] ?? '']);
  }
  return pairs;
}

/** Whether it can stand in an HTTP/2 message once only; the name in lower case. */
export function hasOneValue(name: string): boolean {
  return SINGLE_VALUE.has(name);
}

/** Fields that must not come at the end of a message: they would change how it was understood. */
export function isForbiddenTrailer(name: string): boolean {
  return FORBIDDEN_TRAILERS.has(name) || HOP_BY_HOP.has(name);
}

// --- internal ---

/** Those of which Node's HTTP/2 takes one only. */
const SINGLE_VALUE: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
]);

const FORBIDDEN_TRAILERS = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'forwarded',
  'host',
  'set-cookie',
  'trailer',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);

/** What `Connection` names ends here as well. Null for nearly every request. */
function namedByConnection(raw: RawFields): Set<string> | null {
  let named: Set<string> | null = null;
  for (let index = 0; index < raw.length; index += 2) {
    if (raw[index]?.toLowerCase() !== 'connection') continue;
    for (const token of (raw[index + 1] ?? '').toLowerCase().split(',')) {
      const name = token.trim();
      // Naming these would let a client strip what the app relies on.
      if (name !== '' && !KEPT_IN_ANY_CASE.has(name)) (named ??= new Set()).add(name);
    }
  }
  return named;
}

const KEPT_IN_ANY_CASE = new Set(['authorization', 'content-length', 'cookie', 'host']);

/**
 * The head of a CGI answer: reads it from however many pieces, and lets nothing through that could
 * split the answer, smuggle a second one or speak for us.
 */

export interface AnswerHead {
  /** 200..599. */
  readonly status: number;
  /** Names as the script wrote them, in order; `Set-Cookie` once for each cookie. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** What the script promised; null when it said nothing. */
  readonly contentLength: number | null;
  /** A path of our own that shall be answered instead (RFC 3875, 6.2.2). */
  readonly redirect: string | null;
  /** A file that shall be sent instead of the body. */
  readonly sendfile: SendfileWish | null;
}

export interface SendfileWish {
  /** `path`: X-Sendfile, an absolute path; `uri`: X-Accel-Redirect, escaped, below a folder. */
  readonly kind: 'path' | 'uri';
  readonly value: string;
}

export type HeadProgress =
  | { readonly type: 'more' }
  | { readonly type: 'head'; readonly head: AnswerHead; readonly rest: Buffer }
  | { readonly type: 'malformed'; readonly detail: string };

/** nginx stops at 4 to 8 KiB; 64 leave room for any Content-Security-Policy, and bound a worker. */
export const HEAD_MAX_BYTES = 64 * 1024;

export function createHeadReader(): { push(piece: Buffer): HeadProgress } {
  let held = NOTHING;
  return {
    push(piece) {
      const before = held.length;
      held = before === 0 ? piece : Buffer.concat([held, piece]);
      // The end may have begun in the piece before: "\n\r\n" is three bytes.
      const end = findEnd(held, Math.max(0, before - 2));
      if (end === -1 && held.length <= HEAD_MAX_BYTES) return { type: 'more' };
      if (end === -1 || end > HEAD_MAX_BYTES) {
        return { type: 'malformed', detail: `its head is larger than ${HEAD_MAX_BYTES} bytes` };
      }
      return parseHead(held.toString('latin1', 0, end), held.subarray(end));
    },
  };
}

// --- internal ---

const NOTHING: Buffer = Buffer.alloc(0);
const LF = 0x0a;
const CR = 0x0d;

/** Where the body begins, or -1. Lines may end with LF alone: many scripts write them so. */
function findEnd(bytes: Buffer, from: number): number {
  if (bytes[0] === LF) return 1;
  if (bytes[0] === CR && bytes[1] === LF) return 2;
  for (let at = bytes.indexOf(LF, from); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// oxlint-disable-next-line no-control-regex
const BAD_VALUE = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** Belong to a connection, and the connection is ours. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Orders to the server in front of PHP. `X-Accel-Buffering` is not among them: it does no harm, and
 * an nginx in front of us needs it for server-sent events.
 */
const ORDERS: ReadonlyMap<string, SendfileWish['kind'] | 'none'> = new Map([
  ['x-sendfile', 'path'],
  ['x-lighttpd-send-file', 'path'],
  ['x-accel-redirect', 'uri'],
  ['x-accel-expires', 'none'],
  ['x-accel-limit-rate', 'none'],
  ['x-accel-charset', 'none'],
]);

function parseHead(text: string, rest: Buffer): HeadProgress {
  const headers: (readonly [string, string])[] = [];
  const single = new Map<string, string>();
  let sendfile: SendfileWish | null = null;
  for (const line of text.split('\n')) {
    const bare = line.endsWith('\r') ? line.slice(0, -1) : line;
    if (bare === '') continue;
    const colon = bare.indexOf(':');
    const name = bare.slice(0, colon);
    const value = bare.slice(colon + 1).trim();
    const key = name.toLowerCase();
    if (colon < 1 || !NAME.test(name)) return malformed('a line of its head is no header');
    if (BAD_VALUE.test(value)) return malformed(`control characters in its header ${name}`);
    const order = ORDERS.get(key);
    if (SINGLE.has(key)) {
      if (single.has(key) && single.get(key) !== value) return malformed(`two headers ${name}`);
      if (!single.has(key) && key !== 'status') headers.push([name, value]);
      single.set(key, value);
    } else if (order !== undefined) {
      if (order !== 'none') sendfile = { kind: order, value };
    } else if (!HOP_BY_HOP.has(key)) {
      headers.push([name, value]);
    }
  }
  return understand(headers, single, sendfile, rest);
}

/** Say one thing for the whole answer: two that differ are two answers. */
const SINGLE: ReadonlySet<string> = new Set(['status', 'content-length', 'location']);

function understand(
  headers: readonly (readonly [string, string])[],
  single: ReadonlyMap<string, string>,
  sendfile: SendfileWish | null,
  rest: Buffer,
): HeadProgress {
  const location = single.get('location');
  const written = single.get('status');
  const status = written === undefined ? (location === undefined ? 200 : 302) : readStatus(written);
  if (status === null) return malformed(`its status is ${JSON.stringify(written)}`);
  const lengthText = single.get('content-length');
  const contentLength = lengthText === undefined ? null : readLength(lengthText);
  if (contentLength === undefined) return malformed('its Content-Length is no number');
  // "//host" would be another server.
  const isLocal = written === undefined && location !== undefined && /^\/(?!\/)/.test(location);
  const redirect = isLocal ? location : null;
  return { type: 'head', head: { status, headers, contentLength, redirect, sendfile }, rest };
}

/** Null for what is no final status: 1xx is an interim answer, which CGI does not have. */
function readStatus(text: string): number | null {
  const digits = /^([2-5]\d\d)(?:[ \t]|$)/.exec(text)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** Undefined for what is no length. */
function readLength(text: string): number | undefined {
  const length = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(length) ? length : undefined;
}

function malformed(detail: string): HeadProgress {
  return { type: 'malformed', detail };
}

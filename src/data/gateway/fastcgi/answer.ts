/**
 * The answer of a script on its way to the client: head first, then exactly as many bytes as were
 * promised, no faster than the client takes them.
 */
import { STATUS_CODES } from 'node:http';
import { hasOneValue } from '../fields.ts';
import type { Visit } from '../types.ts';
import { createHeadReader, type AnswerHead, type SendfileWish } from './answer-head.ts';

export type Verdict =
  | { readonly type: 'whole'; readonly status: number }
  /** The client has a part of it. */
  | { readonly type: 'cut'; readonly detail: string }
  /** The client has nothing yet; the worker is at fault, so another one is not worth a try. */
  | { readonly type: 'malformed'; readonly detail: string }
  /** The client has nothing yet: this path is to be answered instead. */
  | { readonly type: 'redirect'; readonly target: string }
  | { readonly type: 'sendfile'; readonly wish: SendfileWish; readonly head: AnswerHead };

export interface Answer {
  /** Bytes of the script, kept until `flush`. */
  push(piece: Buffer): void;
  /** Sends what was pushed. False: the client is slow, wait for `onRoom`. */
  flush(): boolean;
  /** Nothing follows; `flush` is part of it. */
  finish(): Verdict;
  /**
   * Whether any byte, head or body, came from the script. Not a getter: an object of its own shape
   * for each request is what V8 makes of one, and the shapes keep their requests alive.
   */
  hasBegun(): boolean;
}

/**
 * What is kept for a slow client before its worker has to wait. Most pages fit, so the worker is
 * free again while they are still on their way; and a thousand slow clients cost 256 MiB at most.
 */
export const ANSWER_BUFFER_BYTES = 256 * 1024;

export function openAnswer(visit: Visit, onRoom: () => void): Answer {
  const { response } = visit;
  const reader = createHeadReader();
  let pending: Buffer[] = [];
  let head: AnswerHead | null = null;
  let fault: string | null = null;
  let hasBegun = false;
  /** Bytes of the body that the client may still get; Infinity without a promise. */
  let left = Number.POSITIVE_INFINITY;

  function push(piece: Buffer): void {
    hasBegun = true;
    if (fault !== null || isForOthers(head)) return;
    if (head !== null) return keep(piece);
    const progress = reader.push(piece);
    if (progress.type === 'malformed') fault = progress.detail;
    if (progress.type !== 'head') return;
    head = progress.head;
    left = isBodiless(head.status) ? 0 : (head.contentLength ?? Number.POSITIVE_INFINITY);
    keep(progress.rest);
  }

  /** More than was promised would be read as the next answer of the connection. */
  function keep(piece: Buffer): void {
    const kept = piece.length > left ? piece.subarray(0, left) : piece;
    left -= kept.length;
    if (kept.length > 0) pending.push(kept);
  }

  function isBodiless(status: number): boolean {
    return visit.method === 'HEAD' || status === 204 || status === 304;
  }

  function sendHead(given: AnswerHead, wholeBytes: number | null): void {
    const isMeasured = given.contentLength === null && !isBodiless(given.status);
    const bytes = isMeasured ? wholeBytes : null;
    if (!('stream' in response)) {
      // The flat form goes onto the wire as it is; one field at a time took thrice as long.
      const fields = given.headers.flat();
      if (bytes !== null) fields.push('Content-Length', String(bytes));
      response.writeHead(given.status, fields);
      return;
    }
    response.statusCode = given.status;
    copyHeaders(given, visit);
    if (bytes !== null) response.setHeader('Content-Length', bytes);
  }

  function flush(): boolean {
    if (fault !== null || head === null || isForOthers(head)) return true;
    if (!response.headersSent) {
      sendHead(head, null);
      // A script that flushes its head alone wants it to arrive: server-sent events.
      if (pending.length === 0) flushHead(visit);
    }
    for (const piece of pending) write(visit, piece);
    pending = [];
    if (response.writableLength <= ANSWER_BUFFER_BYTES) return true;
    response.once('drain', onRoom);
    return false;
  }

  function finish(): Verdict {
    if (fault !== null) return { type: 'malformed', detail: fault };
    if (head === null) {
      const detail = hasBegun ? 'it ended within its head' : 'it ended without an answer';
      return { type: 'malformed', detail };
    }
    if (head.sendfile !== null) return { type: 'sendfile', wish: head.sendfile, head };
    if (head.redirect !== null) return { type: 'redirect', target: head.redirect };
    const isCutShort = Number.isFinite(left) && left > 0;
    if (isCutShort && !response.headersSent) {
      return { type: 'malformed', detail: `its body is ${left} bytes too short` };
    }
    if (!response.headersSent) {
      sendHead(
        head,
        pending.reduce((sum, piece) => sum + piece.length, 0),
      );
    }
    const last = isCutShort ? undefined : pending.pop();
    for (const piece of pending) write(visit, piece);
    pending = [];
    if (isCutShort) return { type: 'cut', detail: `its body is ${left} bytes too short` };
    end(visit, last);
    return { type: 'whole', status: head.status };
  }

  return {
    push,
    flush,
    finish,
    hasBegun: () => hasBegun,
  };
}

/** The headers of the script, on the response; its status is not touched. */
export function copyHeaders(head: AnswerHead, visit: Visit): void {
  const values = new Map<string, [name: string, values: string[]]>();
  for (const [name, value] of head.headers) {
    const key = name.toLowerCase();
    const known = values.get(key);
    if (known === undefined) values.set(key, [name, [value]]);
    else if (!hasOneValue(key)) known[1].push(value);
  }
  for (const [name, all] of values.values()) {
    visit.response.setHeader(name, all.length === 1 ? (all[0] ?? '') : all);
  }
}

/** A short answer of our own, for a client that has nothing yet. */
export function answerPlainly(
  visit: Visit,
  status: number,
  text = `${status} ${STATUS_CODES[status]}`,
): void {
  const { response } = visit;
  if (response.headersSent || response.destroyed) return;
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.statusCode = status;
  if (!('stream' in response)) response.statusMessage = '';
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('Cache-Control', 'no-store');
  response.end(`${text}\n`);
}

// --- internal ---

/** Its body goes nowhere. */
function isForOthers(head: AnswerHead | null): boolean {
  return head !== null && (head.redirect !== null || head.sendfile !== null);
}

function flushHead({ response }: Visit): void {
  if ('stream' in response) response.writeHead(response.statusCode);
  else response.flushHeaders();
}

function write({ response }: Visit, piece: Buffer): void {
  // Two overloads, one for each protocol: called through the union there is none.
  if ('stream' in response) response.write(piece);
  else response.write(piece);
}

/** With its last piece, so that all that waits is one write. */
function end({ response }: Visit, last: Buffer | undefined): void {
  if ('stream' in response) response.end(last ?? '');
  else response.end(last ?? '');
}

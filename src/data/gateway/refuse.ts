/** Short answers of our own: a status, a word of text, and never anything about our inside. */
import { IncomingMessage, STATUS_CODES, type ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

export type AnyRequest = IncomingMessage | Http2ServerRequest;
export type AnyResponse = ServerResponse | Http2ServerResponse;

/** When a client may come again: about as long as a burst lasts. */
export const RETRY_AFTER_S = 2;

/**
 * Answers `status`, unless an answer has begun: then the response is cut, so that nobody takes half
 * of it for the whole. A body that still comes is not read to its end.
 */
export function refuse(request: AnyRequest, answer: AnyResponse, status: number): void {
  if (answer.headersSent) return cut(answer);
  const response = answer as ServerResponse;
  if (response.writableEnded || response.destroyed) return;
  const text = `${status} ${STATUS_CODES[status] ?? 'Error'}\n`;
  const fields: Record<string, string | number> = {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  };
  if (status === 503) fields['retry-after'] = RETRY_AFTER_S;
  forget(response);
  const unread = isMessage(request) && !request.readableEnded && announcedLength(request) !== 0;
  if (unread) fields['connection'] = 'close';
  write(response, status, fields);
  if (!unread) return void response.end(request.method === 'HEAD' ? '' : text);
  response.write(text);
  linger(request, response);
}

/** Announced length; 0 without a body, null while unknown (chunked, or HTTP/2 without a length). */
export function announcedLength(request: AnyRequest): number | null {
  const length = request.headers['content-length'];
  if (length !== undefined) return Number(length);
  if (isMessage(request)) return request.headers['transfer-encoding'] === undefined ? 0 : null;
  // Not `complete`, which is false until somebody has read the end.
  return request.stream.endAfterHeaders ? 0 : null;
}

/** Breaks an answer off in a way that the client notices. */
export function cut(response: AnyResponse): void {
  if ('stream' in response) {
    const { stream } = response;
    // Gone already, or with its session.
    if (stream !== undefined && !stream.destroyed) stream.close(INTERNAL_ERROR);
  } else response.destroy();
}

/** By its kind: what a client says of its version is not to be believed. */
export function isMessage(request: AnyRequest): request is IncomingMessage {
  return request instanceof IncomingMessage;
}

/** `100 Continue`, for a client that may be gone by now. */
export function inviteBody(response: AnyResponse): void {
  try {
    response.writeContinue();
  } catch {
    // Its stream is closed, and its request is over with it.
  }
}

/** `writeHead` of both kinds of response; their types have no common signature. */
export function write(
  response: AnyResponse,
  status: number,
  fields: Record<string, string | number | string[]>,
): void {
  (response as ServerResponse).writeHead(status, fields);
}

// --- internal ---

/** NGHTTP2_INTERNAL_ERROR; node:http2 is not loaded for a constant. */
const INTERNAL_ERROR = 2;
/** A connection closed with unread bytes is reset, and the reset can overtake the answer. */
const LINGER_MS = 2000;

/** What an answer that could not be sent has left on the response: it could not be sent again. */
function forget(response: ServerResponse): void {
  // HTTP/2 has none.
  if (!('stream' in response)) response.statusMessage = '';
  for (const name of response.getHeaderNames()) {
    if (!OUR_FIELDS.has(name)) response.removeHeader(name);
  }
}

/** Those that a refusal may bring along. */
const OUR_FIELDS: ReadonlySet<string> = new Set(['allow', 'connection', 'location']);

/** Reads what still comes, for a moment, before the connection ends with the response. */
function linger(request: IncomingMessage, response: ServerResponse): void {
  const end = (): void => {
    clearTimeout(timer);
    request.off('end', end);
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  request.once('end', end);
  response.once('close', end);
  request.unpipe();
  request.resume();
}

/**
 * The answer of a worker that speaks HTTP/1.1 on its way to the client, over HTTP/1.1 or HTTP/2:
 * hints, head, body and trailers.
 */
import {
  STATUS_CODES,
  type IncomingMessage,
  type OutgoingHttpHeader,
  type ServerResponse,
} from 'node:http';
import { asRecord, inPairs, isForbiddenTrailer, passFields, type RawFields } from './fields.ts';
import { isMessage, write, type AnyResponse } from './refuse.ts';
import type { ForwardResult, Visit } from './types.ts';

/** What a listener throws ends the request that it was for. */
export type Safely = <Args extends readonly unknown[]>(
  work: (...args: Args) => void,
) => (...args: Args) => void;

export interface Ends {
  readonly done: (result: ForwardResult) => void;
  readonly fail: (error: Error) => void;
  readonly safely: Safely;
}

/** Early hints help the client; a bad one is no reason to lose the answer that follows. */
export function passHint(
  visit: Visit,
  information: { statusCode: number; rawHeaders: RawFields },
): void {
  const { request, response } = visit;
  if (information.statusCode !== 103 || response.headersSent || request.httpVersion === '1.0')
    return;
  const hints = asRecord(passFields(information.rawHeaders, (name) => name === 'content-length'));
  if (hints['link'] === undefined) return;
  try {
    response.writeEarlyHints(hints);
  } catch {
    // Node knows fewer forms of Link than there are.
  }
}

export function passAnswer(
  visit: Visit,
  answer: IncomingMessage,
  { done, fail, safely }: Ends,
): void {
  const { response } = visit;
  const status = answer.statusCode ?? 502;
  try {
    writeHead(visit, answer, status);
  } catch (error) {
    // The worker's head is one that we must not pass on (a status of 1000, a bad field).
    answer.destroy();
    return fail(error instanceof Error ? error : new Error(String(error)));
  }
  const isEvents = /^\s*text\/event-stream/i.test(answer.headers['content-type'] ?? '');
  if (isEvents) visit.onLongLived?.();
  // One packet for a short answer; but a head must not wait for a body that is long in coming.
  const flush = setImmediate(
    safely(() => {
      // HTTP/2 sends the head by itself.
      if ('flushHeaders' in response && !response.writableEnded) response.flushHeaders();
    }),
  );
  answer.once(
    'end',
    safely(() => {
      const trailers = passFields(answer.rawTrailers, isForbiddenTrailer);
      if (trailers.length > 0) addTrailers(response, trailers);
      response.end();
    }),
  );
  let over = false;
  const end = (settle: () => void): void => {
    if (over) return;
    over = true;
    clearImmediate(flush);
    settle();
  };
  response.once('finish', () => {
    // Over HTTP/2 it comes for a stream that was given up as well, just before its 'close'.
    if (response.writableEnded) end(() => done({ type: 'answered', status }));
  });
  response.once('close', () =>
    end(() => {
      answer.destroy();
      done({ type: 'failed', stage: 'aborted', detail: 'the client is gone' });
    }),
  );
  answer.once('close', () => {
    if (!answer.complete) end(() => fail(new Error('the worker broke off its answer')));
  });
  answer.on('error', () => undefined);
  answer.pipe(response as NodeJS.WritableStream, { end: false });
}

// --- internal ---

function writeHead({ method, request, response }: Visit, answer: IncomingMessage, status: number) {
  // Only an answer in chunks has trailers; the end of an HTTP/2 stream may have them unannounced.
  const isInChunks =
    request.httpVersion === '1.1' &&
    answer.headers['transfer-encoding'] !== undefined &&
    method !== 'HEAD' &&
    !BODILESS.has(status);
  const fields = passFields(answer.rawHeaders, (name) => name === 'trailer' && !isInChunks);
  if (!isMessage(request)) return write(response, status, asRecord(fields));
  const reason = answer.statusMessage ?? '';
  // The flat form keeps names and order as the worker wrote them.
  (response as ServerResponse).writeHead(
    status,
    BAD_REASON.test(reason) ? STATUS_CODES[status] : reason,
    fields as unknown as OutgoingHttpHeader[],
  );
}

const BODILESS: ReadonlySet<number> = new Set([204, 304]);

/** What Node's parser takes from a worker, and its writer does not. */
// oxlint-disable-next-line no-control-regex
const BAD_REASON = /[^\t\x20-\x7e\x80-\xff]/;

function addTrailers(response: AnyResponse, trailers: string[]): void {
  if ('stream' in response) response.addTrailers(asRecord(trailers));
  else response.addTrailers(inPairs(trailers));
}

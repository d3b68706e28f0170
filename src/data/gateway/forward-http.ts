/**
 * Forwards visits to a worker that speaks HTTP/1.1, over a unix socket or TCP: streaming on both
 * ways, trailers, early hints, server-sent events as they come.
 */
import { performance } from 'node:perf_hooks';
import {
  Agent,
  request as openRequest,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeader,
  type ServerResponse,
} from 'node:http';
import { takeOut, type Bag } from './bag.ts';
import { asRecord, isForbiddenTrailer, passFields, type RawFields } from './fields.ts';
import { createPulse } from './pulse.ts';
import { write, type AnyResponse } from './refuse.ts';
import { openTunnel } from './tunnel.ts';
import type { ForwardResult, Upstream, UpstreamAddress, Visit } from './types.ts';
import { forwardedFields, isClaim } from './visitor.ts';

/**
 * An idle connection is closed before the worker would do it: servers close theirs after 2 s
 * (gunicorn) to 5 s (Node, uvicorn), and a request that crosses with the close is lost.
 */
const IDLE_MS = 1000;
/** Idle connections kept for one worker; a unix socket is opened again in 50 µs. */
const IDLE_CONNECTIONS_MAX = 64;
/** The head of an answer; apps with many cookies and policies need some 20 KiB. */
const ANSWER_HEAD_BYTES_MAX = 64 * 1024;

export function createHttpUpstream(address: UpstreamAddress): Upstream {
  const agent = new Agent({
    keepAlive: true,
    maxFreeSockets: IDLE_CONNECTIONS_MAX,
    timeout: IDLE_MS,
    // The connection used last is the least likely to be closed by the worker right now.
    scheduling: 'lifo',
  });
  const lasting: Bag<Lasting> = [];
  const where =
    address.kind === 'unix'
      ? { socketPath: address.path }
      : { host: address.host, port: address.port };
  const pulse = createPulse(where, () => performance.now());
  const release = (): void => {
    agent.maxFreeSockets = 0;
    for (const sockets of Object.values(agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
  };
  return {
    forward: (visit, { last }) =>
      new Promise((resolve) => {
        const request = openRequest({
          ...where,
          method: visit.method,
          path: visit.target,
          headers: headOf(visit, last),
          agent: last || visit.tunnel !== undefined ? false : agent,
          maxHeaderSize: ANSWER_HEAD_BYTES_MAX,
        });
        const going = { request, bytes: null };
        lasting.push(going);
        carry(visit, request, (result) => {
          takeOut(lasting, going);
          if (result.type === 'answered') pulse.beat();
          resolve(result);
        });
      }),
    hasPulse(isIdle) {
      if (hasNews(lasting)) pulse.beat();
      return pulse.isFelt(isIdle);
    },
    release,
    destroy() {
      pulse.stop();
      release();
      for (const { request } of lasting.slice()) request.destroy(new Error('the worker is gone'));
    },
  };
}

// --- internal ---

interface Lasting {
  readonly request: ClientRequest;
  /** What had come on its connection at the last look; a kept one has the bytes of others. */
  bytes: number | null;
}

/** Whether any of them got a byte since the last look. */
function hasNews(lasting: Bag<Lasting>): boolean {
  let isNews = false;
  for (const each of lasting) {
    const bytes = each.request.socket?.bytesRead ?? 0;
    if (bytes > (each.bytes ?? bytes)) isNews = true;
    each.bytes = bytes;
  }
  return isNews;
}

function headOf(visit: Visit, last: boolean): string[] {
  const { request, visitor, tunnel, body } = visit;
  const raw = request.rawHeaders;
  const fields = passFields(raw, (name) => name === 'host' || name === 'expect' || isClaim(name));
  const head = ['Host', visitor.host, ...fields, ...forwardedFields(visitor)];
  if (/\btrailers\b/.test(String(request.headers.te ?? ''))) head.push('TE', 'trailers');
  if (tunnel !== undefined) {
    head.push('Connection', 'Upgrade', 'Upgrade', String(request.headers.upgrade));
  } else {
    head.push('Connection', last ? 'close' : 'keep-alive');
  }
  if (body.length === null) head.push('Transfer-Encoding', 'chunked');
  else if (request.headers['content-length'] === undefined && METHODS_WITH_BODY.has(visit.method)) {
    head.push('Content-Length', String(body.length));
  }
  return head;
}

/** Servers may refuse these without a length (411). */
const METHODS_WITH_BODY = new Set(['POST', 'PUT', 'PATCH']);

/** One request over there and its answer back; `settle` is called once. */
function carry(
  visit: Visit,
  request: ClientRequest,
  settle: (result: ForwardResult) => void,
): void {
  let stage: 'unsent' | 'unanswered' | 'cut' = 'unsent';
  const done = (result: ForwardResult): void => {
    visit.signal.removeEventListener('abort', abort);
    settle(result);
  };
  const fail = (error: Error): void => {
    const aborted = visit.signal.aborted;
    if (!aborted && neverArrived(error, visit)) stage = 'unsent';
    done({ type: 'failed', stage: aborted ? 'aborted' : stage, detail: error.message });
  };
  const abort = (): void => {
    request.destroy(new Error(String(visit.signal.reason)));
  };
  visit.signal.addEventListener('abort', abort);
  request.once('error', fail);
  request.once('socket', (socket) => {
    const send = (): void => {
      if (request.destroyed) return;
      stage = 'unanswered';
      sendBody(visit, request);
    };
    if (socket.connecting) socket.once('connect', send);
    else send();
  });
  request.on('information', (information) => passHint(visit, information));
  request.once('upgrade', (answer: IncomingMessage, socket, head: Buffer) => {
    stage = 'cut';
    request.off('error', fail);
    openTunnel(visit, answer, socket, head, done);
  });
  request.once('response', (answer) => {
    stage = 'cut';
    request.off('error', fail).on('error', () => undefined);
    passAnswer(visit, answer, done, fail);
  });
  if (visit.signal.aborted) abort();
}

/**
 * The worker had closed the kept connection before: the kernel refused the first write. Only sure
 * without a body, which makes one single write of a request.
 */
function neverArrived(error: NodeJS.ErrnoException, visit: Visit): boolean {
  return error.code === 'EPIPE' && error.syscall === 'write' && visit.body.length === 0;
}

function sendBody(visit: Visit, request: ClientRequest): void {
  if (visit.body.length === 0) return void request.end();
  const body = visit.body.open();
  body.once('error', (error) => request.destroy(error));
  body.once('end', () => {
    const trailers = passFields(visit.request.rawTrailers, isForbiddenTrailer);
    if (trailers.length > 0 && visit.body.length === null) request.addTrailers(inPairs(trailers));
    request.end();
  });
  body.pipe(request, { end: false });
}

/** Early hints help the client; a bad one is no reason to lose the answer that follows. */
function passHint(visit: Visit, information: { statusCode: number; rawHeaders: RawFields }): void {
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

function passAnswer(
  visit: Visit,
  answer: IncomingMessage,
  done: (result: ForwardResult) => void,
  fail: (error: Error) => void,
): void {
  const { response } = visit;
  const status = answer.statusCode ?? 502;
  try {
    writeHead(response, answer, status);
  } catch (error) {
    // The worker's head is one that we must not pass on (a status of 1000, a bad field).
    answer.destroy();
    return fail(error instanceof Error ? error : new Error(String(error)));
  }
  const isEvents = /^\s*text\/event-stream/i.test(answer.headers['content-type'] ?? '');
  if (isEvents) visit.onLongLived?.();
  // One packet for a short answer; but a head must not wait for a body that is long in coming.
  const flush = setImmediate(() => {
    // HTTP/2 sends the head by itself.
    if ('flushHeaders' in response && !response.writableEnded) response.flushHeaders();
  });
  answer.once('end', () => {
    const trailers = passFields(answer.rawTrailers, isForbiddenTrailer);
    if (trailers.length > 0) addTrailers(response, trailers);
    response.end();
  });
  let over = false;
  const end = (settle: () => void): void => {
    if (over) return;
    over = true;
    clearImmediate(flush);
    settle();
  };
  response.once('finish', () => end(() => done({ type: 'answered', status })));
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

function writeHead(response: AnyResponse, answer: IncomingMessage, status: number): void {
  const fields = passFields(answer.rawHeaders, () => false);
  if (response.req.httpVersionMajor === 2) {
    const record = asRecord(fields);
    delete record['trailer'];
    return write(response, status, record);
  }
  // The flat form keeps names and order as the worker wrote them.
  (response as ServerResponse).writeHead(
    status,
    answer.statusMessage,
    fields as unknown as OutgoingHttpHeader[],
  );
}

function addTrailers(response: AnyResponse, trailers: string[]): void {
  if (response.req.httpVersionMajor === 2) response.addTrailers(asRecord(trailers));
  else response.addTrailers(inPairs(trailers) as never);
}

function inPairs(fields: RawFields): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < fields.length; index += 2) {
    pairs.push([fields[index] ?? '', fields[index + 1] ?? '']);
  }
  return pairs;
}

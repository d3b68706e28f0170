/**
 * Forwards visits to a worker that speaks HTTP/1.1, over a unix socket or TCP: streaming on both
 * ways, trailers, early hints, server-sent events as they come.
 */
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import { Agent, request as openRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { takeOut, type Bag } from './bag.ts';
import { contain, messageOf } from './fault.ts';
import { inPairs, isForbiddenTrailer, passFields } from './fields.ts';
import { passAnswer, passHint, type Safely } from './pass-answer.ts';
import { createPulse } from './pulse.ts';
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
  const streams = body.length === null;
  const fields = passFields(
    raw,
    (name) =>
      name === 'host' ||
      name === 'expect' ||
      // It announces what only a body in chunks can have.
      (name === 'trailer' && !streams) ||
      isClaim(name),
  );
  const head = ['Host', visitor.host, ...fields, ...forwardedFields(visitor)];
  if (/\btrailers\b/.test(String(request.headers.te ?? ''))) head.push('TE', 'trailers');
  if (tunnel !== undefined) {
    head.push('Connection', 'Upgrade', 'Upgrade', String(request.headers.upgrade));
  } else {
    head.push('Connection', last ? 'close' : 'keep-alive');
  }
  if (streams) head.push('Transfer-Encoding', 'chunked');
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
  let isDone = false;
  const done = (result: ForwardResult): void => {
    if (isDone) return;
    isDone = true;
    visit.signal.removeEventListener('abort', abort);
    settle(result);
  };
  const safely = <Args extends readonly unknown[]>(work: (...args: Args) => void) =>
    contain((error) => {
      request.destroy();
      done({ type: 'failed', stage: 'fault', detail: messageOf(error) });
    }, work);
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
    const send = safely((): void => {
      if (request.destroyed) return;
      stage = 'unanswered';
      sendBody(visit, request, safely);
    });
    if (socket.connecting) socket.once('connect', send);
    else send();
  });
  request.on('information', (information) => passHint(visit, information));
  request.once(
    'upgrade',
    safely((answer: IncomingMessage, socket: Duplex, head: Buffer) => {
      stage = 'cut';
      request.off('error', fail);
      openTunnel(visit, answer, socket, head, done);
    }),
  );
  request.once(
    'response',
    safely((answer: IncomingMessage) => {
      stage = 'cut';
      request.off('error', fail).on('error', () => undefined);
      passAnswer(visit, answer, { done, fail, safely });
    }),
  );
  if (visit.signal.aborted) abort();
}

/**
 * The worker had closed the kept connection before: the kernel refused the first write. Only sure
 * without a body, which makes one single write of a request.
 */
function neverArrived(error: NodeJS.ErrnoException, visit: Visit): boolean {
  return error.code === 'EPIPE' && error.syscall === 'write' && visit.body.length === 0;
}

function sendBody(visit: Visit, request: ClientRequest, safely: Safely): void {
  if (visit.body.length === 0) return void request.end();
  const body = visit.body.open();
  body.once('error', (error) => request.destroy(error));
  body.once(
    'end',
    safely(() => {
      const trailers = passFields(visit.request.rawTrailers, isForbiddenTrailer);
      if (trailers.length > 0 && visit.body.length === null) request.addTrailers(inPairs(trailers));
      request.end();
    }),
  );
  body.pipe(request, { end: false });
}

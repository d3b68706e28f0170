/**
 * A door of the agent's own into the app: requests that are made inside the worker, past the shared
 * socket (where any sibling could answer them), over a private loopback port whose connections are
 * given to the app's own server.
 */
import type * as Http from 'node:http';
import type * as Http2 from 'node:http2';
import type * as Https from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { exempt } from './connections.cts';
import { type Listener, ownServers } from './listen.cts';

export interface Knock {
  readonly path: string;
  /** What the app sees as `user-agent`. */
  readonly name: string;
  /** Whether it counts as a request of the worker. */
  readonly counted: boolean;
  /** The request is given up then; null: it may take its time. */
  readonly timeoutMs: number | null;
}

/** What the app answered; `status` is null when it did not, and `body` says why. */
export interface Answer {
  readonly status: number | null;
  readonly kind: string;
  readonly body: string;
}

/** GETs a path from the app; calls back once, never throws. */
export function knock(listener: Listener, asked: Knock, answered: (answer: Answer) => void): void {
  const door = createServer({ allowHalfOpen: true }, (socket) => {
    if (!asked.counted) exempt(socket);
    listener.server.emit('connection', socket);
  });
  ownServers.add(door);
  let settled = false;
  let giveUp: () => void = () => undefined;
  const settle = (answer: Answer) => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    door.close();
    giveUp();
    answered(answer);
  };
  const fail = (error: Error) => {
    settle({ status: null, kind: '', body: error.message });
  };
  const timer =
    asked.timeoutMs === null
      ? undefined
      : setTimeout(() => {
          fail(new Error(`no answer within ${asked.timeoutMs} ms`));
        }, asked.timeoutMs);
  door.once('error', fail);
  door.listen(0, '127.0.0.1', () => {
    const { port } = door.address() as AddressInfo;
    const { scheme, server } = listener;
    try {
      giveUp =
        scheme === 'http2'
          ? requestHttp2('setSecureContext' in server, port, asked, settle)
          : requestHttp1(scheme === 'https', port, asked, settle);
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

// --- internal ---

/** A health check says little; it travels through two processes. */
const BODY_CHARS_MAX = 8192;

type Settle = (answer: Answer) => void;

// The clients are required when they are used: each is memory of the app.

function requestHttp1(secure: boolean, port: number, asked: Knock, settle: Settle): () => void {
  const options = {
    host: '127.0.0.1',
    port,
    path: asked.path,
    agent: false,
    rejectUnauthorized: false,
    headers: { host: `localhost:${port}`, 'user-agent': asked.name },
  } as const;
  const answered = (response: Http.IncomingMessage) => {
    const read = collect(response);
    response.once('close', () => {
      const { statusCode = null, headers } = response;
      settle({ status: statusCode, kind: headers['content-type'] ?? '', body: read() });
    });
  };
  const sent: Http.ClientRequest = secure
    ? (require('node:https') as typeof Https).get(options, answered)
    : (require('node:http') as typeof Http).get(options, answered);
  sent.on('error', (error) => {
    settle({ status: null, kind: '', body: error.message });
  });
  return () => sent.destroy();
}

function requestHttp2(secure: boolean, port: number, asked: Knock, settle: Settle): () => void {
  const { connect } = require('node:http2') as typeof Http2;
  const session = connect(`${secure ? 'https' : 'http'}://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
  });
  const failed = (error: Error) => {
    settle({ status: null, kind: '', body: error.message });
  };
  session.on('error', failed);
  const stream = session.request({ ':path': asked.path, 'user-agent': asked.name });
  let status: number | null = null;
  let kind = '';
  stream.on('response', (headers) => {
    status = headers[':status'] ?? null;
    kind = headers['content-type'] ?? '';
  });
  stream.on('error', failed);
  const read = collect(stream);
  stream.once('close', () => {
    settle({ status, kind, body: read() });
  });
  return () => {
    session.destroy();
  };
}

/** Reads to the end, keeps the beginning. */
function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    if (text.length < BODY_CHARS_MAX) text = (text + chunk).slice(0, BODY_CHARS_MAX);
  });
  return () => text;
}

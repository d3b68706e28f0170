/**
 * Requests that the gateway makes of its own workers (warm-up, health asks): they come in by the
 * same door as everybody's, over a connection that exists in memory only, so that a forwarder never
 * knows the difference.
 */
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { duplexPair, type Duplex } from 'node:stream';
import { streamBody } from './body.ts';
import { createJob, type Job } from './job.ts';
import type { UpstreamId } from './messages.ts';
import { createAbort } from './signal.ts';

export interface Ask {
  /** Null: whoever has a place first, ahead of all who wait. */
  readonly worker: UpstreamId | null;
  readonly path: string;
  readonly timeoutMs: number;
}

/** `status` is null when there was no answer; `body` says why then. */
export interface AskAnswer {
  readonly status: number | null;
  readonly kind: string;
  readonly body: string;
}

export interface Door {
  /** Resolves in any case, at the latest when the time is up. */
  ask(ask: Ask): Promise<AskAnswer>;
}

/** A health check says little; it travels through two processes. */
const BODY_CHARS_MAX = 8192;
const NAME = 'cofferdam-health';

export function createDoor(submit: (job: Job) => void): Door {
  const asked = new WeakMap<Duplex, Ask>();
  const server = createServer((incoming: IncomingMessage, response: ServerResponse) => {
    const ask = asked.get(incoming.socket);
    if (ask === undefined) {
      response.destroy();
      return;
    }
    const ending = createAbort();
    response.once('close', () => ending.abort('client_gone'));
    const limits = { bodyLimitBytes: 0, spoolAboveBytes: 0 };
    const body = streamBody(incoming, response, limits, false);
    const { path: target, worker: only } = ask;
    const visitor = VISITOR;
    const facts = { request: incoming, response, target, visitor, body, ending, only };
    submit(createJob({ ...facts, lane: 'probe', isAsk: true }));
  });
  return {
    ask: (ask) =>
      new Promise((resolve) => {
        const [here, there] = duplexPair();
        asked.set(there, ask);
        let text = '';
        const sent = request({
          path: ask.path,
          createConnection: () => here,
          headers: { host: 'localhost', 'user-agent': NAME, connection: 'close' },
        });
        const settle = (answer: AskAnswer): void => {
          clearTimeout(timer);
          here.destroy();
          there.destroy();
          resolve(answer);
        };
        const fail = (why: string): void => settle({ status: null, kind: '', body: why });
        const timer = setTimeout(() => fail(`no answer within ${ask.timeoutMs} ms`), ask.timeoutMs);
        sent.on('error', (error) => fail(error.message));
        sent.once('response', (response) => {
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            if (text.length < BODY_CHARS_MAX) text = (text + chunk).slice(0, BODY_CHARS_MAX);
          });
          response.on('error', (error) => fail(error.message));
          response.once('end', () => {
            const kind = response.headers['content-type'] ?? '';
            settle({ status: response.statusCode ?? null, kind, body: text });
          });
        });
        server.emit('connection', there);
        sent.end();
      }),
  };
}

// --- internal ---

const VISITOR = {
  remoteAddress: '127.0.0.1',
  remotePort: 0,
  localAddress: '127.0.0.1',
  localPort: 0,
  scheme: 'http',
  host: 'localhost',
} as const;

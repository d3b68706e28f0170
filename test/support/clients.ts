/** Ordinary clients in a closed loop, one name each; all verify every answer. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { Agent as UndiciAgent, request as undiciRequest } from 'undici';
import { askMaker, countAnswer, type Answer, type Ask, type AskOptions } from './ask.ts';
import {
  DEFAULT_PATIENCE_MS,
  startLoops,
  withPatience,
  type ClientRun,
  type LoopOptions,
  type Watch,
} from './client-loop.ts';
import {
  encodeAsk,
  openConnection,
  type Http1Connection,
  type Target,
} from './http1-connection.ts';
import { openHttp2Sender } from './http2-client.ts';
import { countError, type Tally } from './tally.ts';
import { TEST_CA } from './test-ca.ts';

/** `…-close`: a connection per request. `https*` and `http2` want an https url. */
export type ClientKind =
  | 'raw'
  | 'raw-close'
  | 'agent'
  | 'agent-close'
  | 'undici'
  | 'undici-close'
  | 'fetch'
  | 'fetch-close'
  | 'https'
  | 'https-close'
  | 'http2';

/** One request on its way. */
export interface Call {
  readonly ask: Ask;
  /** Which of the loops asks; a client with a connection of its own per loop needs it. */
  readonly lane: number;
  readonly watch: Watch;
  /** For what is not a failure (REFUSED_STREAM); answers and errors are counted by the loop. */
  readonly tally: Tally;
}

/** Sends one request and resolves with its whole answer; rejects with the error of its library. */
export interface Sender {
  send(call: Call): Promise<Answer>;
  close(): void | Promise<void>;
}

export interface ClientOptions extends LoopOptions, AskOptions {}

/** Starts clients of one kind against an echo app; `stop()` returns what became of the requests. */
export function startClients(
  kind: ClientKind,
  target: Target,
  options: ClientOptions = {},
): ClientRun {
  const sender = SENDERS[kind](target, options.clients ?? 16);
  const nextAsk = askMaker(options);
  const patienceMs = options.patienceMs ?? DEFAULT_PATIENCE_MS;
  const once = async (lane: number, tally: Tally): Promise<boolean> => {
    const ask = nextAsk();
    try {
      const answer = await withPatience(patienceMs, (watch) =>
        sender.send({ ask, lane, watch, tally }),
      );
      countAnswer(tally, ask, answer);
      return true;
    } catch (error) {
      countError(tally, error, `${kind} ${ask.method} ${ask.path}`);
      return false;
    }
  };
  return startLoops(options, once, () => sender.close());
}

// --- internal ---

type OpenSender = (target: Target, clients: number) => Sender;

const SENDERS: Record<ClientKind, OpenSender> = {
  raw: (target, clients) => openRawSender(target, clients, true),
  'raw-close': (target, clients) => openRawSender(target, clients, false),
  agent: (target, clients) => openAgentSender(target, clients, true),
  'agent-close': (target, clients) => openAgentSender(target, clients, false),
  https: (target, clients) => openAgentSender(target, clients, true),
  'https-close': (target, clients) => openAgentSender(target, clients, false),
  undici: (target, clients) => openUndiciSender(target, clients, true),
  'undici-close': (target, clients) => openUndiciSender(target, clients, false),
  fetch: (target) => openFetchSender(target, true),
  'fetch-close': (target) => openFetchSender(target, false),
  http2: openHttp2Sender,
};

function openRawSender(target: Target, clients: number, keepAlive: boolean): Sender {
  const connections = Array.from<Http1Connection | undefined>({ length: clients });
  const host = new URL(target.url).host;
  return {
    async send({ ask, lane, watch }) {
      let connection = connections[lane];
      if (!connection?.usable) {
        connection?.socket.destroy();
        connection = openConnection(target);
        connections[lane] = connection;
      }
      const { socket } = connection;
      const giveUp = (): void => void socket.destroy();
      watch.signal.addEventListener('abort', giveUp);
      try {
        watch.phase = 'connecting';
        await connection.connected();
        watch.phase = 'sent';
        socket.once('data', () => (watch.phase = 'answering'));
        const [head, body] = encodeAsk(ask, host, keepAlive ? '' : 'connection: close\r\n');
        socket.write(body.length === 0 ? head : Buffer.concat([Buffer.from(head), body]));
        return await connection.readAnswer();
      } catch (error) {
        socket.destroy();
        throw error;
      } finally {
        watch.signal.removeEventListener('abort', giveUp);
      }
    },
    close() {
      for (const connection of connections) connection?.socket.destroy();
    },
  };
}

function openAgentSender(target: Target, clients: number, keepAlive: boolean): Sender {
  const secure = target.url.startsWith('https:');
  const options = { keepAlive, maxSockets: keepAlive ? clients : Infinity };
  const agent = secure ? new HttpsAgent({ ...options, ca: TEST_CA }) : new HttpAgent(options);
  const request = secure ? httpsRequest : httpRequest;
  return {
    send: ({ ask, watch }) =>
      new Promise((resolve, reject) => {
        const outgoing = request(new URL(ask.path, target.url), {
          agent,
          method: ask.method,
          headers: headersOf(ask),
          signal: watch.signal,
          ...(target.socketPath === undefined ? {} : { socketPath: target.socketPath }),
        });
        outgoing.on('response', (incoming) => {
          watch.phase = 'answering';
          readIncoming(incoming).then(resolve, reject);
        });
        outgoing.on('error', reject);
        outgoing.end(ask.body);
      }),
    close: () => agent.destroy(),
  };
}

function openUndiciSender(target: Target, clients: number, keepAlive: boolean): Sender {
  const dispatcher = new UndiciAgent({
    connections: clients,
    connect: target.socketPath === undefined ? {} : { socketPath: target.socketPath },
  });
  return {
    async send({ ask, watch }) {
      const response = await undiciRequest(new URL(ask.path, target.url), {
        dispatcher,
        method: ask.method,
        headers: headersOf(ask),
        body: ask.method === 'POST' ? ask.body : null,
        signal: watch.signal,
        // `connection: close`.
        reset: !keepAlive,
      });
      watch.phase = 'answering';
      return {
        status: response.statusCode,
        headers: response.headers as Record<string, string>,
        body: Buffer.from(await response.body.arrayBuffer()),
      };
    },
    close: () => dispatcher.close(),
  };
}

function openFetchSender(target: Target, keepAlive: boolean): Sender {
  const more = keepAlive ? {} : { connection: 'close' };
  return {
    async send({ ask, watch }) {
      const response = await fetch(new URL(ask.path, target.url), {
        method: ask.method,
        headers: { ...headersOf(ask, false), ...more },
        body: ask.method === 'POST' ? new Uint8Array(ask.body) : null,
        signal: watch.signal,
      });
      watch.phase = 'answering';
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: Buffer.from(await response.arrayBuffer()),
      };
    },
    close: closeFetchConnections,
  };
}

const FETCH_DISPATCHER = Symbol.for('undici.globalDispatcher.1');

/** fetch keeps its connections for the whole process, where the next test would meet them. */
async function closeFetchConnections(): Promise<void> {
  const globals = globalThis as Record<symbol, UndiciAgent | undefined>;
  const dispatcher = globals[FETCH_DISPATCHER];
  if (dispatcher === undefined) return;
  globals[FETCH_DISPATCHER] = new (dispatcher.constructor as typeof UndiciAgent)();
  await dispatcher.destroy();
}

/** fetch insists on counting the body itself. */
function headersOf(ask: Ask, withLength = true): Record<string, string> {
  if (ask.method === 'GET' || !withLength) return { 'x-id': ask.id };
  return { 'x-id': ask.id, 'content-length': String(ask.body.length) };
}

function readIncoming(incoming: IncomingMessage): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('error', reject);
    incoming.on('end', () =>
      resolve({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers as Record<string, string>,
        body: Buffer.concat(chunks),
      }),
    );
  });
}

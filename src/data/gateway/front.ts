/**
 * The door to the public: an HTTP server (HTTP/1.1, and HTTP/2 with TLS) whose limits keep slow and
 * greedy clients from costing more than their share. What comes in whole becomes a job.
 */
import {
  createServer,
  ServerResponse,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
} from 'node:http';
import type { Http2SecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { readHead } from './request-head.ts';
import { cut, isMessage, refuse, type AnyRequest, type AnyResponse } from './refuse.ts';
import type { Tunnel } from './types.ts';
import { watchSessions } from './sessions.ts';
import { keepIfNothingWasDropped, readEarly, requestClass } from './upgrade.ts';

/** One request, its head understood. */
export interface Arrival {
  readonly request: AnyRequest;
  readonly response: AnyResponse;
  readonly target: string;
  readonly host: string;
  /** The client sends its body only when it is told to. */
  readonly continues: boolean;
  readonly tunnel: Tunnel | undefined;
}

export interface FrontHandlers {
  arrive(arrival: Arrival): void;
  /** It was answered already. */
  refused(status: number, why: string): void;
  /** What was done for a request has thrown; the request is cut off already. */
  failed(request: AnyRequest, error: unknown): void;
}

export interface FrontOptions {
  /** Whether workers may answer 101: PHP never does. */
  readonly upgrades?: boolean;
  /** A head takes one packet, and a handshake few; nobody honest needs longer. */
  readonly headMs?: number;
  /** How often the limits are looked after. */
  readonly checkMs?: number;
  /** Between two requests of one connection. */
  readonly keepAliveMs?: number;
}

const HEAD_MS = 10_000;
const CHECK_MS = 1000;
/** As nginx; longer than load balancers keep theirs (60 s), or they would run into our close. */
const KEEP_ALIVE_MS = 75_000;

/** An HTTP/2 client that is silent for so long is asked, once, whether it is still there. */
const QUIET_MS = { busy: 5000, idle: 20_000 };
/** The PING waits behind what the kernel still has to send, and that may go over a slow line. */
const ANSWER_MS = 25_000;

/** As nginx: 4 × 8 KiB. */
const HEAD_BYTES_MAX = 32 * 1024;
/** Requests one HTTP/2 client may have open at once; as nginx and the RFC's advice. */
const STREAMS_MAX = 128;

export type Front = Server | Http2SecureServer;

export function createFront(handlers: FrontHandlers, options: FrontOptions = {}): Server {
  const times = timesOf(options);
  const server = createServer({
    ...HTTP1_OPTIONS,
    ...times,
    IncomingMessage: requestClass(options.upgrades ?? true),
  });
  attend(server, handlers);
  return server;
}

/** HTTP/2 and HTTP/1.1 over TLS; the certificate can be changed later (`setSecureContext`). */
export async function createSecureFront(
  certificate: { readonly cert: Buffer; readonly key: Buffer },
  handlers: FrontHandlers,
  options: FrontOptions = {},
): Promise<Http2SecureServer> {
  // Loaded only where there is TLS: HTTP/2 costs 2 MiB.
  const { createSecureServer } = await import('node:http2');
  const times = timesOf(options);
  const server = createSecureServer({
    ...certificate,
    ...HTTP1_OPTIONS,
    allowHTTP1: true,
    Http1IncomingMessage: requestClass(options.upgrades ?? true),
    handshakeTimeout: times.headersTimeout,
    settings: { maxConcurrentStreams: STREAMS_MAX, maxHeaderListSize: HEAD_BYTES_MAX },
    // A session that holds more than this in headers and frames of its streams gets no new ones.
    maxSessionMemory: 10,
  });
  // `createSecureServer` hands no times to its HTTP/1 half: they are properties there.
  Object.assign(server, times);
  attend(server, handlers);
  watchSessions(server, {
    idleMs: times.keepAliveTimeout,
    quietMs: QUIET_MS,
    answerMs: ANSWER_MS,
    checkMs: times.connectionsCheckingInterval,
  });
  return server;
}

// --- internal ---

const HTTP1_OPTIONS = {
  insecureHTTPParser: false,
  maxHeaderSize: HEAD_BYTES_MAX,
  requireHostHeader: true,
} as const;

/** Bodies have a pace of their own (body.ts) instead of one time for all sizes. */
function timesOf({
  headMs = HEAD_MS,
  checkMs = CHECK_MS,
  keepAliveMs = KEEP_ALIVE_MS,
}: FrontOptions) {
  return {
    headersTimeout: headMs,
    requestTimeout: 0,
    connectionsCheckingInterval: checkMs,
    keepAliveTimeout: keepAliveMs,
  };
}

function attend(server: Front, handlers: FrontHandlers): void {
  const arrive = (
    request: AnyRequest,
    response: AnyResponse,
    { continues = false, tunnel }: { continues?: boolean; tunnel?: Tunnel },
  ): void => {
    const head = readHead(request);
    if (!head.ok) {
      if (isMessage(request)) response.setHeader('connection', 'close');
      refuse(request, response, head.status);
      return handlers.refused(head.status, head.why);
    }
    const { target, host } = head;
    handlers.arrive({ request, response, target, host, continues, tunnel });
  };
  const receive = (
    request: AnyRequest,
    response: AnyResponse,
    more: Parameters<typeof arrive>[2] = {},
  ): void => {
    try {
      if (isMessage(request)) {
        keepIfNothingWasDropped(request, response as ServerResponse);
        closeWithSocket(request, response as ServerResponse);
      } else if (request.method === 'HEAD') {
        // Node tells of the end of such a stream only if it was answered.
        request.stream.once('close', () => response.emit('close'));
      }
      arrive(request, response, more);
    } catch (error) {
      cut(response);
      handlers.failed(request, error);
    }
  };
  // The events of both kinds of server have the same names, but no common type.
  const events = server as Server;
  events.on('request', (request, response) => receive(request, response));
  events.on('checkContinue', (request, response) =>
    receive(request, response, { continues: true }),
  );
  events.on('upgrade', (request, socket, head) => {
    socket.on('error', () => undefined);
    const early = readEarly(socket, head);
    // Pipelined behind others, it is answered behind them.
    whenAnswered(socket, () => {
      receive(request, answerOn(request, socket), { tunnel: { socket, early } });
    });
  });
  // Over HTTP/2 it comes with a response.
  events.on('connect', (request, to: Duplex | AnyResponse, head) => {
    handlers.refused(405, 'CONNECT');
    if (!isMessage(request)) return refuse(request as AnyRequest, to as AnyResponse, 405);
    const socket = to as Duplex;
    socket.on('error', () => undefined);
    readEarly(socket, head);
    whenAnswered(socket, () => endWith(socket as Socket, 405));
  });
  events.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    answerClientError(error, socket as Socket, handlers);
  });
}

/**
 * A pipelined request waits for the connection. If that closes before its turn, Node forgets it,
 * and nothing would ever tell that it is over.
 */
function closeWithSocket({ socket }: IncomingMessage, response: ServerResponse): void {
  if (response.socket !== null) return;
  const close = (): void => void response.emit('close');
  socket.once('close', close);
  response.once('socket', () => socket.off('close', close));
}

/** For a client that is refused the upgrade: an ordinary response on the bare connection. */
function answerOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Socket);
  response.once('finish', () => {
    response.detachSocket(socket as Socket);
    // Not only ended: a client that never closes would keep its connection for ever.
    (socket as Socket).destroySoon();
  });
  socket.once('close', () => response.emit('close'));
  return response;
}

type BusySocket = Duplex & { _httpMessage?: ServerResponse | null };

/** Calls back once no request that came before on the connection waits for its answer. */
function whenAnswered(socket: BusySocket, then: () => void): void {
  const { _httpMessage: response } = socket;
  if (socket.destroyed) return;
  if (response == null) return then();
  // The next one gets the connection in the same moment; the last may have closed it.
  response.once('finish', () => setImmediate(whenAnswered, socket, then));
}

/**
 * What is no HTTP gets a short answer and the end of its connection, behind the answers of whole
 * requests that came before it.
 */
function answerClientError(
  error: NodeJS.ErrnoException,
  socket: Socket & BusySocket,
  handlers: FrontHandlers,
): void {
  // Once for each connection: what comes behind the first fault is none of its own.
  if (faulty.has(socket)) return;
  faulty.add(socket);
  const status = CLIENT_ERRORS[error.code ?? ''] ?? 400;
  handlers.refused(status, error.code ?? error.message);
  // A handshake that never ends leaves nothing that could be written to.
  if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' || !socket.writable) return void socket.destroy();
  // Node would not end it now: it takes the end of its bytes for one more fault.
  if (socket.readableEnded) return void socket.destroy();
  socket.once('end', () => socket.destroy());
  const end = (): void => {
    const { _httpMessage: response } = socket;
    if (response == null || !response.req.complete) return endWith(socket, status, response);
    response.once('finish', () => setImmediate(end));
  };
  end();
}

const faulty = new WeakSet<Duplex>();

/** Says goodbye on the bare connection, but not into the middle of an answer that is under way. */
function endWith(socket: Socket, status: number, response?: ServerResponse | null): void {
  if (socket.writable && response?.headersSent !== true) {
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`);
  }
  // Ended, not destroyed: what was answered just now is still on its way.
  socket.destroySoon();
}

const CLIENT_ERRORS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/**
 * The door to the public: an HTTP server (HTTP/1.1, and HTTP/2 with TLS) whose limits keep slow and
 * greedy clients from costing more than their share. What comes in whole becomes a job.
 */
import { createServer, IncomingMessage, ServerResponse, type Server } from 'node:http';
import type { Http2SecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { readHead } from './request-head.ts';
import { refuse, type AnyRequest, type AnyResponse } from './refuse.ts';
import type { Tunnel } from './types.ts';

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
}

export interface FrontLimits {
  /** A head takes one packet; nobody honest needs longer. */
  readonly headMs: number;
  /** How often the limit above is looked after. */
  readonly checkMs: number;
}

export const FRONT_LIMITS: FrontLimits = { headMs: 10_000, checkMs: 1000 };

/** As nginx: 4 × 8 KiB. */
const HEAD_BYTES_MAX = 32 * 1024;
/** As nginx; longer than load balancers keep theirs (60 s), or they would run into our close. */
const KEEP_ALIVE_MS = 75_000;
/** Requests one HTTP/2 client may have open at once; as nginx and the RFC's advice. */
const STREAMS_MAX = 128;

export type Front = Server | Http2SecureServer;

export function createFront(handlers: FrontHandlers, limits = FRONT_LIMITS): Server {
  const server = createServer({ ...HTTP1_OPTIONS, ...timesOf(limits) });
  attend(server, handlers);
  return server;
}

/** HTTP/2 and HTTP/1.1 over TLS; the certificate can be changed later (`setSecureContext`). */
export async function createSecureFront(
  certificate: { readonly cert: Buffer; readonly key: Buffer },
  handlers: FrontHandlers,
  limits = FRONT_LIMITS,
): Promise<Http2SecureServer> {
  // Loaded only where there is TLS: HTTP/2 costs 2 MiB.
  const { createSecureServer } = await import('node:http2');
  const server = createSecureServer({
    ...certificate,
    ...HTTP1_OPTIONS,
    allowHTTP1: true,
    Http1IncomingMessage: PatientRequest,
    settings: { maxConcurrentStreams: STREAMS_MAX, maxHeaderListSize: HEAD_BYTES_MAX },
    // A session that holds more than this in headers and frames of its streams gets no new ones.
    maxSessionMemory: 10,
  });
  // `createSecureServer` hands no times to its HTTP/1 half: they are properties there.
  Object.assign(server, timesOf(limits));
  attend(server, handlers);
  return server;
}

// --- internal ---

const IS_UPGRADE = Symbol('upgrade');

/**
 * `Upgrade: h2c` is an offer that a server may ignore (Java's client makes it with every request),
 * but Node would take the body off such a request. So only other upgrades are upgrades to it.
 */
class PatientRequest extends IncomingMessage {
  // Node's constructor assigns it before any field of ours could be there.
  declare [IS_UPGRADE]: boolean;
  get upgrade(): boolean {
    return this[IS_UPGRADE] && !/^\s*h2c\b/i.test(this.headers.upgrade ?? '');
  }
  set upgrade(value: boolean) {
    this[IS_UPGRADE] = value;
  }
}

const HTTP1_OPTIONS = {
  IncomingMessage: PatientRequest,
  insecureHTTPParser: false,
  maxHeaderSize: HEAD_BYTES_MAX,
  keepAliveTimeout: KEEP_ALIVE_MS,
  requireHostHeader: true,
} as const;

/** Bodies have a pace of their own (body.ts) instead of one time for all sizes. */
function timesOf({ headMs, checkMs }: FrontLimits): {
  headersTimeout: number;
  requestTimeout: number;
  connectionsCheckingInterval: number;
} {
  return { headersTimeout: headMs, requestTimeout: 0, connectionsCheckingInterval: checkMs };
}

function attend(server: Front, handlers: FrontHandlers): void {
  const receive = (
    request: AnyRequest,
    response: AnyResponse,
    extra: { continues?: boolean; tunnel?: Tunnel } = {},
  ): void => {
    const head = readHead(request);
    if (!head.ok) {
      if (request.httpVersionMajor === 1) response.setHeader('connection', 'close');
      refuse(request, response, head.status);
      return handlers.refused(head.status, head.why);
    }
    const { target, host } = head;
    const { continues = false, tunnel } = extra;
    handlers.arrive({ request, response, target, host, continues, tunnel });
  };
  // The events of both kinds of server have the same names, but no common type.
  const events = server as Server;
  events.on('request', (request, response) => receive(request, response));
  events.on('checkContinue', (request, response) =>
    receive(request, response, { continues: true }),
  );
  events.on('upgrade', (request, socket, head) => {
    socket.on('error', () => undefined);
    receive(request, answerOn(request, socket), { tunnel: { socket, head } });
  });
  events.on('connect', (_request, socket) => {
    socket.on('error', () => undefined);
    socket.end(`HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\n\r\n`);
    handlers.refused(405, 'CONNECT');
  });
  events.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    handlers.refused(answerClientError(error, socket), error.code ?? error.message);
  });
}

/** For a client that is refused the upgrade: an ordinary response on the bare connection. */
function answerOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Socket);
  response.once('finish', () => {
    response.detachSocket(socket as Socket);
    socket.end();
  });
  socket.once('close', () => response.emit('close'));
  return response;
}

function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): number {
  const status = CLIENT_ERRORS[error.code ?? ''] ?? 400;
  // Not into the middle of an answer that is under way.
  const { _httpMessage: message } = socket as Duplex & { _httpMessage?: ServerResponse };
  if (socket.writable && message?.headersSent !== true) {
    socket.write(`HTTP/1.1 ${status} ${REASONS[status]}\r\nConnection: close\r\n\r\n`);
  }
  // Ended, not destroyed: what was answered just now is still on its way.
  (socket as Socket).destroySoon();
  return status;
}

const CLIENT_ERRORS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};
const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  431: 'Request Header Fields Too Large',
};

/**
 * The parts of Node that have no public type: raw handles, the HTTP parser, the connection list.
 * Everything here is feature-tested before use; each was checked on Node 20, 22, 24 and 26.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';

/** A `TCP` or `Pipe` wrap: a libuv stream handle, listening or connected. */
export interface RawHandle {
  readonly fd: number;
  readonly writeQueueSize?: number;
  reading?: boolean;
  /** Whether a parser has ever read from it; Node lets that happen once. */
  _consumed?: boolean;
  /** Of a pipe. */
  fchmod?: (mode: number) => number;
  onconnection?: (status: number, client: RawHandle) => void;
  readStart(): number;
  readStop(): number;
  ref(): void;
  unref(): void;
  close(done?: () => void): void;
}

/** The HTTP parser of one connection. */
export interface Parser {
  readonly socket: Socket | null;
  /** Whether the parser reads the handle itself, past the socket's stream. */
  _consumed?: boolean;
  unconsume(): void;
  /** Takes it off the server's list until its next message begins. */
  remove?(): void;
}

export type HttpSocket = Socket & {
  _handle: RawHandle | null;
  parser?: Parser | null;
  _httpMessage?: ServerResponse | null;
  /** The raw socket under a TLS socket. */
  _parent?: Socket | null;
};

export type Listen2 = (
  this: Server,
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog: number | undefined,
  fd: number | undefined,
  flags: number | undefined,
) => void;

/** What the servers of `net`, `tls`, `http`, `https` and `http2` have that we read. */
export type AnyServer = Server & {
  _handle: RawHandle | null;
  /** Where every listen ends up; Node keeps the name for code that wraps it. */
  _listen2: Listen2;
  _connections: number;
  /** Counts listens and closes. */
  readonly _listeningId: number;
  _pipeName?: string;
  timeout?: number;
  keepAliveTimeout?: number;
  headersTimeout?: number;
  /** Since Node 24: what Node waits longer than it tells the client. */
  keepAliveTimeoutBuffer?: number;
};

/** Payload of the `http.server.request.start` and `http.server.response.finish` channels. */
export interface HttpEvent {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: HttpSocket;
  readonly server: AnyServer;
}

interface ConnectionList {
  idle(): Parser[];
}

/**
 * The sockets of an HTTP server on which no message is being parsed; null when this Node does not
 * tell. A response may still be pending on them.
 */
export function findQuietSockets(server: AnyServer): Set<Socket> | null {
  const list = findConnectionList(server);
  if (list === null) return null;
  const quiet = new Set<Socket>();
  for (const parser of list.idle()) if (parser.socket !== null) quiet.add(parser.socket);
  return quiet;
}

/** Whether this Node tells which connections of the server are quiet. */
export function tellsQuietSockets(server: AnyServer): boolean {
  return findConnectionList(server) !== null;
}

// --- internal ---

/** Of `http`, the same for all its servers; to look for it each time costs a microsecond. */
let listSymbol: symbol | undefined;

function findConnectionList(server: AnyServer): ConnectionList | null {
  if (listSymbol === undefined || !Object.hasOwn(server, listSymbol)) {
    listSymbol = Object.getOwnPropertySymbols(server).find(
      ({ description }) => description === 'http.server.connections',
    );
    if (listSymbol === undefined) return null;
  }
  const lists = server as unknown as Record<symbol, Partial<ConnectionList> | undefined>;
  const list = lists[listSymbol];
  return typeof list?.idle === 'function' ? (list as ConnectionList) : null;
}

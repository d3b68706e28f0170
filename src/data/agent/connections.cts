/**
 * Every client connection of the app's servers, and what runs on each. The counters are kept by two
 * diagnostics channels and the socket's end: an aborted request has no 'finish', but its socket
 * closes, and per-request listeners would cost several times as much.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import type { ServerHttp2Session } from 'node:http2';
import type { AnyServer, HttpEvent, HttpSocket } from './internals.cts';
import type { Listener } from './listen.cts';

export interface Connection {
  socket: HttpSocket;
  readonly listener: Listener | null;
  /** HTTP/1 requests without a finished response. */
  inFlight: number;
  /** The response that was started last and is not finished. */
  response: ServerResponse | null;
  /** HTTP/1 was spoken on it, or is about to. */
  http1: boolean;
  session: ServerHttp2Session | null;
  /** Adopted from a sibling, and no request came yet. */
  adopted: boolean;
  /** The connection shall end with its next response. */
  lame: boolean;
  /** Its raw handle is on the way to the supervisor. */
  moving: boolean;
}

export const connections = new Set<Connection>();

export const counters = { requests: 0, inFlight: 0, streams: 0 };

/** What the drain wants to know; set once, so that serving pays one comparison. */
export const hooks: {
  started: ((connection: Connection, previous: ServerResponse | null) => void) | null;
  finished: ((connection: Connection) => void) | null;
  closed: ((connection: Connection) => void) | null;
  opened: ((connection: Connection) => void) | null;
} = { started: null, finished: null, closed: null, opened: null };

/** Called for each answered request; replaced when there is a limit to watch. */
export const limit: { requests: number; reached: () => void } = {
  requests: Infinity,
  reached: () => undefined,
};

/** Starts counting HTTP/1 requests, whatever server they come from. */
export function countRequests(): void {
  subscribe('http.server.request.start', (message) => {
    started(message as HttpEvent);
  });
  subscribe('http.server.response.finish', (message) => {
    finished(message as HttpEvent);
  });
}

/** Follows the connections of a server that listens. */
export function followServer(server: AnyServer, listener: Listener): void {
  server.on('connection', (socket) => {
    follow(socket as HttpSocket, listener);
  });
  if (listener.scheme === 'https' || listener.scheme === 'http2') {
    server.on('secureConnection', (socket: HttpSocket) => {
      // One connection, two sockets: requests come on the upper one.
      const connection = connectionOf(socket._parent);
      if (connection === undefined) return;
      connection.socket = socket;
      connection.http1 = socket.parser !== null && socket.parser !== undefined;
      assign(socket, connection);
    });
  }
  if (listener.scheme === 'http2') {
    server.on('session', (session: ServerHttp2Session) => {
      followSession(session, listener);
    });
  }
}

/** Puts a private connection (the warm-up's) out of all counts. */
export function exempt(socket: object): void {
  assign(socket, null);
}

export function connectionOf(socket: object | null | undefined): Connection | undefined {
  if (socket === null || socket === undefined) return undefined;
  const { [CONNECTION]: connection } = socket as Marked;
  return connection ?? undefined;
}

/** An upgraded connection, or one that streams events: it ends when its user goes. */
export function isLongLived(connection: Connection): boolean {
  if (connection.listener?.scheme === 'tcp') return true;
  const { socket, response } = connection;
  // Node takes the parser off a connection when it gives it to the 'upgrade' listener.
  if (connection.http1 && socket.parser === null) return true;
  return response !== null && isEventStream(response);
}

/** Numbers for a report; walks the connections, so it is not for each request. */
export function measureConnections(): { inFlight: number; longLived: number; open: number } {
  let longLived = 0;
  let upgraded = 0;
  for (const connection of connections) {
    if (!isLongLived(connection)) continue;
    longLived++;
    if (connection.inFlight === 0) upgraded++;
  }
  return {
    inFlight: counters.inFlight + counters.streams + upgraded,
    longLived,
    open: connections.size,
  };
}

// --- internal ---

const CONNECTION = Symbol('cofferdam.connection');

interface Marked {
  /** null: not to be counted. */
  [CONNECTION]?: Connection | null;
}

function assign(socket: object, connection: Connection | null): void {
  (socket as Marked)[CONNECTION] = connection;
}

function follow(socket: HttpSocket, listener: Listener | null): Connection | null {
  const known = (socket as Marked)[CONNECTION];
  if (known !== undefined) return known;
  const connection: Connection = {
    socket,
    listener,
    inFlight: 0,
    response: null,
    http1: socket.parser !== null && socket.parser !== undefined,
    session: null,
    adopted: false,
    lame: false,
    moving: false,
  };
  assign(socket, connection);
  connections.add(connection);
  socket.once('close', () => {
    closed(connection);
  });
  hooks.opened?.(connection);
  return connection;
}

function closed(connection: Connection): void {
  connections.delete(connection);
  if (connection.inFlight > 0) {
    counters.inFlight -= connection.inFlight;
    answered(connection.inFlight);
    connection.inFlight = 0;
  }
  connection.response = null;
  hooks.closed?.(connection);
}

function started({ response, socket, server }: HttpEvent): void {
  // Sockets of servers that never listened (an app may feed one itself) are met here first.
  const connection = (socket as Marked)[CONNECTION] ?? follow(socket, null);
  if (connection === null) return;
  if (connection.adopted) {
    connection.adopted = false;
    // It waited under the keep-alive timeout; a request may take longer.
    socket.setTimeout(server.timeout ?? 0);
  }
  connection.inFlight++;
  counters.inFlight++;
  const previous = connection.response;
  connection.response = response;
  if (hooks.started !== null) hooks.started(connection, previous);
}

function finished({ response, socket }: HttpEvent): void {
  const connection = (socket as Marked)[CONNECTION];
  if (connection === undefined || connection === null || connection.inFlight === 0) return;
  connection.inFlight--;
  counters.inFlight--;
  answered(1);
  if (connection.response === response) connection.response = null;
  if (hooks.finished !== null) hooks.finished(connection);
}

function answered(count: number): void {
  counters.requests += count;
  if (counters.requests >= limit.requests) {
    limit.requests = Infinity;
    limit.reached();
  }
}

function followSession(session: ServerHttp2Session, listener: Listener): void {
  // The session's socket is a proxy that reads through to the real one.
  const connection = connectionOf(session.socket) ?? null;
  if (connection !== null) connection.session = session;
  session.on('stream', (stream) => {
    counters.streams++;
    stream.once('close', () => {
      counters.streams--;
      answered(1);
    });
  });
  if (connection !== null) hooks.opened?.(connection);
  void listener;
}

function isEventStream(response: ServerResponse): boolean {
  if (!response.headersSent) return false;
  // Headers given to writeHead() are only in the text that was sent.
  const text = (response as ServerResponse & { _header?: string | null })._header ?? '';
  return /\r\ncontent-type:\s*text\/event-stream/i.test(text);
}

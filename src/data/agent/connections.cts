/**
 * Every client connection of the app's servers, and what runs on each. HTTP/1 requests are counted
 * by two diagnostics channels and the end of the socket: an aborted request has no 'finish', but
 * its socket closes, and a listener on each response would cost several times as much.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { HttpEvent, HttpSocket } from './internals.cts';
import type { Listener } from './listen.cts';
import { countAborted, countAnswer } from './measure.cts';

export interface Connection {
  /** With TLS the upper one, from the end of the handshake. */
  socket: HttpSocket;
  /** Null for a connection that the app fed to a server which does not listen itself. */
  readonly listener: Listener | null;
  /** HTTP/1 requests without a finished response. */
  inFlight: number;
  /** When the oldest of them started; 0 while there is none. */
  startedAt: number;
  /** When the others did, the oldest first: pipelines are rare, an array for each is not free. */
  laterAt: number[] | null;
  /** The response that was started last, while it is not finished. */
  response: ServerResponse | null;
  /** HTTP/2, with the streams that are open on it. */
  session: ServerHttp2Session | null;
  streams: Set<ServerHttp2Stream>;
  /** It came from a sibling, and no request since. */
  adopted: boolean;
  /** It shall end with its next response. */
  lame: boolean;
  /** Its raw handle is on the way to the supervisor. */
  moving: boolean;
}

export const connections = new Set<Connection>();

/** What the drain wants to know. Null while serving, so that a request pays one comparison. */
export const hooks: {
  started: ((connection: Connection, previous: ServerResponse | null) => void) | null;
  finished: (() => void) | null;
  session: ((session: ServerHttp2Session) => void) | null;
} = { started: null, finished: null, session: null };

/** Requests answered since birth. */
export function countAnswered(): number {
  return requests;
}

/** Calls back once, as soon as so many requests were answered. */
export function watchRequests(limit: number, reached: () => void): void {
  requestLimit = limit;
  limitReached = reached;
}

/** Calls back once, as soon as so many requests run. */
export function watchCrowd(limit: number, reached: () => void): void {
  crowdLimit = limit;
  crowdReached = reached;
}

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
export function followServer(listener: Listener): void {
  const { server, scheme } = listener;
  // First in line: a cleartext HTTP/2 session is born inside the server's own listener.
  server.prependListener('connection', (socket) => {
    follow(socket as HttpSocket, listener);
  });
  if (scheme === 'https' || scheme === 'http2') {
    server.prependListener('secureConnection', followSecure);
  }
  if (scheme === 'http2') {
    server.on('session', followSession);
    // Not on the session: any listener there leaks it on Node 20 and 22, if its client errs.
    server.on('stream', followStream);
  }
}

/** Puts a private connection (the warm-up's) out of all counts. */
export function exempt(socket: object): void {
  assign(socket, null);
}

export function connectionOf(socket: object | null): Connection | undefined {
  return (socket === null ? null : marked(socket)) ?? undefined;
}

/**
 * How many things run on it that end when their user goes: upgraded, streaming events, not HTTP.
 */
export function countLongLived(connection: Connection): number {
  const { listener, socket, response, streams } = connection;
  if (listener?.scheme === 'tcp') return 1;
  // Node takes the parser off a connection when it gives it to the 'upgrade' listener.
  if (socket.parser === null && !socket.destroyed) return 1;
  if (response !== null) return isEventStream(response) ? 1 : 0;
  let count = 0;
  for (const stream of streams) if (isLongStream(stream)) count++;
  return count;
}

export function isLongStream(stream: ServerHttp2Stream): boolean {
  const sent = stream.headersSent ? stream.sentHeaders?.['content-type'] : undefined;
  return typeof sent === 'string' && EVENT_STREAM.test(sent);
}

/** Numbers for a report; walks the connections, so it is not for each request. */
export function measureConnections(): { inFlight: number; longLived: number; open: number } {
  let longLived = 0;
  let running = 0;
  for (const connection of connections) {
    const long = countLongLived(connection);
    longLived += long;
    running += Math.max(long, connection.inFlight + connection.streams.size);
  }
  return { inFlight: running, longLived, open: connections.size };
}

// --- internal ---

/** HTTP/1 has none, so that a connection need not bring a set of its own. */
const NO_STREAMS = new Set<ServerHttp2Stream>();

const CONNECTION = Symbol('cofferdam.connection');

const EVENT_STREAM = /^\s*text\/event-stream/i;
const EVENT_STREAM_HEADER = /\r\ncontent-type:\s*text\/event-stream/i;

interface Marked {
  /** null: not to be counted. */
  [CONNECTION]?: Connection | null;
}

let requests = 0;
let requestLimit = Infinity;
let limitReached: () => void = () => undefined;
/** Requests and streams that run, long-lived ones included. */
let running = 0;
let crowdLimit = Infinity;
let crowdReached: () => void = () => undefined;

function marked(socket: object): Connection | null | undefined {
  return (socket as Marked)[CONNECTION];
}

function assign(socket: object, connection: Connection | null): void {
  (socket as Marked)[CONNECTION] = connection;
}

function follow(socket: HttpSocket, listener: Listener | null): Connection | null {
  const known = marked(socket);
  if (known !== undefined) return known;
  const connection: Connection = {
    socket,
    listener,
    inFlight: 0,
    startedAt: 0,
    laterAt: null,
    response: null,
    session: null,
    streams: NO_STREAMS,
    adopted: false,
    lame: false,
    moving: false,
  };
  assign(socket, connection);
  connections.add(connection);
  socket.on('close', closeOf);
  return connection;
}

/** One connection, two sockets: requests come on the upper one. */
function followSecure(socket: HttpSocket): void {
  const connection = marked(socket._parent ?? socket);
  if (connection === undefined) return;
  if (connection !== null) connection.socket = socket;
  assign(socket, connection);
}

function followSession(session: ServerHttp2Session): void {
  // The session's socket is a proxy that reads through to the real one.
  const connection = marked(session.socket);
  if (connection === undefined || connection === null) return;
  connection.session = session;
  connection.streams = new Set();
  hooks.session?.(session);
}

function followStream(stream: ServerHttp2Stream): void {
  // Found by its socket: what a session itself refers to would keep it in the same way.
  const socket = stream.session?.socket;
  const connection = socket === undefined ? undefined : marked(socket);
  if (connection === undefined || connection === null) return;
  connection.streams.add(stream);
  begun();
  const startedAt = performance.now();
  stream.once('close', () => {
    connection.streams.delete(stream);
    running--;
    countStream(stream, performance.now() - startedAt);
    answered(1);
  });
}

function countStream(stream: ServerHttp2Stream, durationMs: number): void {
  const status = stream.headersSent ? stream.sentHeaders?.[':status'] : undefined;
  // NO_ERROR is 0: any other code means that one side gave the stream up.
  if (status === undefined || stream.rstCode !== 0) countAborted(1);
  else countAnswer(Number(status), durationMs);
}

/** One function for all sockets: a closure for each would be most of what a connection costs. */
function closeOf(this: Socket): void {
  const connection = marked(this);
  if (connection === undefined || connection === null || !connections.delete(connection)) return;
  const { inFlight } = connection;
  running -= inFlight;
  connection.inFlight = 0;
  connection.startedAt = 0;
  connection.laterAt = null;
  connection.response = null;
  if (inFlight > 0) {
    countAborted(inFlight);
    answered(inFlight);
  }
  hooks.finished?.();
}

function started({ response, socket, server }: HttpEvent): void {
  const connection = marked(socket) ?? followFed(socket);
  if (connection === null) return;
  if (connection.adopted) {
    connection.adopted = false;
    // It waited under the keep-alive timeout; a request may take longer.
    socket.setTimeout(server.timeout ?? 0);
  }
  connection.inFlight++;
  begun();
  if (connection.startedAt === 0) connection.startedAt = performance.now();
  else (connection.laterAt ??= []).push(performance.now());
  const previous = connection.response;
  connection.response = response;
  if (hooks.started !== null) hooks.started(connection, previous);
}

/** Sockets that an app feeds to a server by itself are met at their first request. */
function followFed(socket: HttpSocket): Connection | null {
  return marked(socket) === null ? null : follow(socket, null);
}

function finished({ response, socket }: HttpEvent): void {
  const connection = marked(socket);
  if (connection === undefined || connection === null || connection.inFlight === 0) return;
  connection.inFlight--;
  running--;
  // Pipelined answers leave in the order in which their requests came.
  countAnswer(response.statusCode, performance.now() - connection.startedAt);
  connection.startedAt = connection.laterAt?.shift() ?? 0;
  if (connection.response === response) connection.response = null;
  answered(1);
  if (hooks.finished !== null) hooks.finished();
}

function begun(): void {
  if (++running < crowdLimit) return;
  crowdLimit = Infinity;
  crowdReached();
}

function answered(count: number): void {
  requests += count;
  if (requests < requestLimit) return;
  requestLimit = Infinity;
  limitReached();
}

function isEventStream(response: ServerResponse): boolean {
  if (!response.headersSent) return false;
  // Headers given to writeHead() are only in the text that was sent.
  const { _header: text } = response as ServerResponse & { readonly _header?: string | null };
  return typeof text === 'string' && EVENT_STREAM_HEADER.test(text);
}

/**
 * Moves a plain HTTP/1.1 connection between two workers while it is idle, so that its client never
 * sees a close. The raw handle goes, never the `net.Socket` (whose receiver would read from it);
 * bytes that arrive meanwhile wait in the kernel and travel along.
 */
import type { Socket } from 'node:net';
import type { ListenKey } from '../../protocol.ts' with { 'resolution-mode': 'import' };
import { sendHandle } from './channel.cts';
import { type Connection, connectionOf } from './connections.cts';
import {
  type AnyServer,
  findQuietSockets,
  type RawHandle,
  tellsQuietSockets,
} from './internals.cts';
import { type Listener, listeners } from './listen.cts';

/** Whether a connection is of a kind that can be moved once it is idle. */
export function isMovableKind(connection: Connection): boolean {
  const { socket, listener, session } = connection;
  if (listener === null || listener.scheme !== 'http' || session !== null) return false;
  const { _handle: handle, parser } = socket;
  if (handle === null || parser === null || parser === undefined) return false;
  // A parser that does not read the handle itself means that the app listens for the data, too.
  if (parser._consumed !== true) return false;
  if (typeof parser.unconsume !== 'function' || typeof handle.readStop !== 'function') return false;
  return tellsQuietSockets(listener.server);
}

/**
 * Tells the idle connections of a server: nothing half read, unanswered or unsent. Ask once for
 * many, and at once: it holds for this turn of the event loop only.
 */
export function findIdle(server: AnyServer): (connection: Connection) => boolean {
  const quiet = findQuietSockets(server);
  if (quiet === null) return () => false;
  return (connection) => isIdle(connection, quiet);
}

/** Like {@link findIdle}, for connections that stay here: those that cannot be moved as well. */
export function findQuiet(server: AnyServer): (connection: Connection) => boolean {
  const quiet = findQuietSockets(server);
  if (quiet === null) return () => false;
  return (connection) => connection.session === null && isQuiet(connection, quiet);
}

/** Gives an idle connection to the supervisor. `settled(false)`: it is ours again, as before. */
export function handOver(connection: Connection, settled: (moved: boolean) => void): void {
  const { socket, listener, adopted } = connection;
  const fresh = socket.bytesRead === 0 && !adopted;
  const timeoutMs = socket.timeout ?? 0;
  const handle = holdStill(connection);
  connection.moving = true;
  const message = { type: 'connection', key: listener?.key ?? '', id: nextId++, fresh } as const;
  sendHandle(message, handle, (taken) => {
    connection.moving = false;
    if (taken) {
      // Closes our descriptor without a FIN: others hold the connection open.
      socket.destroy();
    } else if (!socket.destroyed) {
      // From here the socket's own stream feeds the parser; that is slower, and just as right.
      socket.setTimeout(timeoutMs);
      handle.reading = true;
      handle.readStart();
    }
    settled(taken);
  });
}

export interface Adoption {
  readonly key: ListenKey;
  /** Nothing ever came on it. */
  readonly fresh: boolean;
  readonly evenIfFull: boolean;
}

/** Takes a sibling's connection in. False: it was not taken, and the local copy is closed. */
export function adopt(handle: RawHandle, { key, fresh, evenIfFull }: Adoption): boolean {
  const listener = listeners.get(key);
  // What was never read can be taken by a server of any kind.
  const knows = listener !== undefined && (fresh || listener.scheme === 'http');
  const serves = knows && listener.handle.onconnection !== undefined;
  if (!serves || !(evenIfFull || hasRoom(listener))) {
    handle.close();
    return false;
  }
  takeIn(listener, handle, fresh);
  return true;
}

// --- internal ---

let nextId = 1;

function isIdle(connection: Connection, quiet: Set<Socket>): boolean {
  return isMovableKind(connection) && isQuiet(connection, quiet);
}

function isQuiet({ socket, inFlight, moving }: Connection, quiet: Set<Socket>): boolean {
  if (inFlight > 0 || moving || socket.destroyed) return false;
  // On a connection that sent nothing yet, the parser waits for its first message.
  if (!quiet.has(socket) && socket.bytesRead > 0) return false;
  if (socket._httpMessage !== null && socket._httpMessage !== undefined) return false;
  if (socket.readableEnded || !socket.writable) return false;
  return socket.writableLength === 0 && (socket._handle?.writeQueueSize ?? 0) === 0;
}

/** Takes the handle from the parser and stops reading: nothing more is read by this process. */
function holdStill({ socket }: Connection): RawHandle {
  const { _handle: handle, parser } = socket;
  if (handle === null || !parser) throw new Error('only a movable connection can be held');
  socket.setTimeout(0);
  parser.unconsume();
  parser._consumed = false;
  handle.reading = false;
  handle.readStop();
  return handle;
}

function hasRoom({ server }: Listener): boolean {
  const { maxConnections: max, _connections: open } = server;
  return typeof max !== 'number' || open < max;
}

/** Hands a connected handle to a listening server as if it had been accepted there. */
function takeIn(listener: Listener, handle: RawHandle, fresh: boolean): void {
  const { server, handle: door } = listener;
  const { maxConnections } = server;
  let arrived: Socket | null = null;
  const notice = (socket: Socket) => {
    arrived = socket;
  };
  server.once('connection', notice);
  // Node would accept and close what is above the limit.
  if (!hasRoom(listener)) server.maxConnections = Number.POSITIVE_INFINITY;
  // Past the server's own reference, which is gone while it drains.
  door.onconnection?.(0, handle);
  server.maxConnections = maxConnections;
  server.off('connection', notice);
  const connection = connectionOf(arrived);
  // Turned away by a rule of the server (a block list), as it would have been on arrival.
  if (connection === undefined) return;
  // One on which nothing ever came is to this server what it is to Node: new.
  if (fresh) return;
  connection.adopted = true;
  // Node arms the keep-alive timeout after a response, and for this server there was none.
  const { keepAliveTimeout = 0, keepAliveTimeoutBuffer = 0, headersTimeout: firstMs = 0 } = server;
  const idleMs = keepAliveTimeout > 0 ? keepAliveTimeout + keepAliveTimeoutBuffer : 0;
  connection.socket.setTimeout(idleMs);
  if (firstMs > 0 && (idleMs === 0 || idleMs >= firstMs)) {
    setTimeout(() => {
      renew(connection, listener);
    }, firstMs / 2).unref();
  }
}

/**
 * Node answers 408 to a new connection on which no request came in time, and an adopted one is new
 * to it. Where it may be idle for longer than that, it is accepted again and again.
 */
function renew(connection: Connection, listener: Listener): void {
  const { socket, adopted, moving } = connection;
  if (!adopted || moving || socket.destroyed || socket.bytesRead > 0) return;
  if (!isMovableKind(connection)) return;
  const handle = holdStill(connection);
  handle._consumed = false;
  // The old socket goes without its handle, so the connection stays open.
  socket._handle = null;
  socket.destroy();
  takeIn(listener, handle, false);
}

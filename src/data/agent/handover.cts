/**
 * Moves a plain HTTP/1.1 connection between two workers while it is idle, so that its client never
 * sees a close. The raw handle goes, never the `net.Socket` (whose receiver would read from it);
 * bytes that arrive meanwhile wait in the kernel and travel along.
 */
import type { Socket } from 'node:net';
import type { ListenKey } from '../../protocol.ts' with { 'resolution-mode': 'import' };
import { sendHandle } from './channel.cts';
import { type Connection, connectionOf } from './connections.cts';
import { type AnyServer, findQuietSockets, type RawHandle } from './internals.cts';
import { listeners } from './listen.cts';

/** Whether a connection is of a kind that can be moved once it is idle. */
export function isMovableKind(connection: Connection): boolean {
  const { socket, listener, session } = connection;
  if (listener === null || listener.scheme !== 'http' || session !== null) return false;
  const { _handle: handle, parser } = socket;
  if (handle === null || parser === null || parser === undefined) return false;
  // A parser that does not read the handle itself means that the app listens for the data, too.
  if (parser._consumed !== true) return false;
  return typeof parser.unconsume === 'function' && typeof handle.readStop === 'function';
}

/**
 * The idle ones among sockets of a server: nothing half read, nothing unanswered, nothing unsent.
 * Call it once for many; it asks Node for the list of quiet connections.
 */
export function findIdle(server: AnyServer): ((connection: Connection) => boolean) | null {
  const quiet = findQuietSockets(server);
  if (quiet === null) return null;
  return (connection) => isIdle(connection, quiet);
}

/** Gives an idle connection to the supervisor. `settled(false)`: it is ours again, as before. */
export function handOver(connection: Connection, settled: (moved: boolean) => void): void {
  const { socket, listener } = connection;
  const { _handle: handle, parser } = socket;
  if (listener === null || handle === null || parser === null || parser === undefined) return;
  const timeoutMs = socket.timeout ?? 0;
  connection.moving = true;
  socket.setTimeout(0);
  parser.unconsume();
  parser._consumed = false;
  handle.reading = false;
  handle.readStop();
  const message = { type: 'connection', key: listener.key, id: nextId++ } as const;
  sendHandle(message, handle, (taken) => {
    connection.moving = false;
    if (taken) {
      // Closes our descriptor without a FIN: others hold the connection open.
      socket.destroy();
    } else if (!socket.destroyed) {
      // From here the socket's stream feeds the parser; that is slower, and just as right.
      socket.setTimeout(timeoutMs);
      handle.reading = true;
      handle.readStart();
    }
    settled(taken);
  });
}

/** Takes a sibling's connection in. False: it was not taken, and the local copy is closed. */
export function adopt(key: ListenKey, handle: RawHandle): boolean {
  const listener = listeners.get(key);
  const server = listener?.server;
  const listening = server?._handle;
  const full =
    typeof server?.maxConnections === 'number' && server._connections >= server.maxConnections;
  if (listener?.scheme !== 'http' || !listening?.onconnection || server === undefined || full) {
    handle.close();
    return false;
  }
  const arrived = { socket: null as Socket | null };
  const notice = (socket: Socket) => {
    arrived.socket = socket;
  };
  server.once('connection', notice);
  listening.onconnection(0, handle);
  server.off('connection', notice);
  const connection = connectionOf(arrived.socket);
  // Refused by the server's own rules (a block list): closed, as it would have been on arrival.
  if (connection === undefined) return true;
  connection.adopted = true;
  const { socket } = connection;
  if (server.keepAliveTimeout !== undefined) socket.setTimeout(server.keepAliveTimeout);
  return true;
}

// --- internal ---

let nextId = 1;

function isIdle(connection: Connection, quiet: Set<Socket>): boolean {
  const { socket, inFlight, moving } = connection;
  if (inFlight > 0 || moving || socket.destroyed || !isMovableKind(connection)) return false;
  // On a connection that sent nothing yet the parser waits for its first message.
  if (!quiet.has(socket) && socket.bytesRead > 0) return false;
  if (socket._httpMessage !== null && socket._httpMessage !== undefined) return false;
  // A client that has closed its half waits for nothing, or for an end of ours.
  if (socket.readableEnded || !socket.writable) return false;
  return socket.writableLength === 0 && (socket._handle?.writeQueueSize ?? 0) === 0;
}

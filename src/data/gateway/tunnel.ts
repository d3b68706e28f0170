/** Upgraded connections (WebSocket): two sockets joined until either side is through. */
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { passFields } from './fields.ts';
import type { ForwardResult, Visit } from './types.ts';

/** Tells the client that the worker agreed, and joins both; `done` when the tunnel is closed. */
export function openTunnel(
  visit: Visit,
  answer: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  done: (result: ForwardResult) => void,
): void {
  const { tunnel, signal } = visit;
  if (tunnel === undefined || tunnel.socket.destroyed) {
    socket.destroy();
    const detail = tunnel === undefined ? 'an upgrade nobody asked for' : 'the client is gone';
    return done({ type: 'failed', stage: tunnel === undefined ? 'unanswered' : 'aborted', detail });
  }
  const client = tunnel.socket;
  // A keep-alive timeout of a request before is none of the tunnel's.
  (client as Socket).setTimeout?.(0);
  client.write(headOf(answer), 'latin1');
  if (head.length > 0) client.write(head);
  const early = tunnel.early.take();
  if (early.length > 0) socket.write(early);
  visit.onLongLived?.();
  let open = 2;
  const end = (): void => {
    socket.destroy();
    client.destroy();
    open -= 1;
    if (open === 0) done({ type: 'answered', status: answer.statusCode ?? 101 });
  };
  socket.on('error', () => undefined).once('close', end);
  client.on('error', () => undefined).once('close', end);
  signal.addEventListener('abort', () => socket.destroy());
  // `pipe` ends one side when the other one ends, so a half-closed tunnel stays a tunnel.
  socket.pipe(client).pipe(socket);
}

// --- internal ---

/** Values come out of Node's parser, so they hold no line ends. */
function headOf(answer: IncomingMessage): string {
  const status = answer.statusCode ?? 101;
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, 'Connection: Upgrade'];
  if (answer.headers.upgrade !== undefined) lines.push(`Upgrade: ${answer.headers.upgrade}`);
  const fields = passFields(answer.rawHeaders, () => false);
  for (let index = 0; index < fields.length; index += 2) {
    lines.push(`${fields[index]}: ${fields[index + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

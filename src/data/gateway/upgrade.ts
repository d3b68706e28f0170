/**
 * Requests that ask for another protocol. A server may ignore that (RFC 9110, 7.8), and most of
 * these requests are plain ones: Java's clients offer TLS/1.2 or h2c with each. Only what a worker
 * could answer with 101 leaves Node's parser; all others keep it, and so their bodies.
 */
import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** A client that sends more than this before it knows that it may is not waited for. */
const EARLY_BYTES_MAX = 64 * 1024;

/** The kind of request that a front reads: `upgrades` where its workers may answer 101 at all. */
export function requestClass(upgrades: boolean): typeof IncomingMessage {
  return upgrades ? UpgradableRequest : PlainRequest;
}

/**
 * Node's parser stops behind a request that asks for an upgrade, and drops what follows in the same
 * packet. Where the upgrade is ignored the connection may be kept only if nothing was dropped: the
 * bytes that came are just those of the request, and no request before it hides some of them.
 */
export function keepIfNothingWasDropped(request: IncomingMessage, response: ServerResponse): void {
  if (!asksForUpgrade(request) || !response.shouldKeepAlive) return;
  const { socket } = request;
  const before = readBefore.get(socket) ?? 0;
  const keepsIt = (): boolean => {
    const isExact = socket.bytesRead - before === sizeOf(request);
    if (isExact) readBefore.set(socket, socket.bytesRead);
    return isExact;
  };
  if (keepsIt()) return;
  response.shouldKeepAlive = false;
  request.once('end', () => {
    if (!response.headersSent) response.shouldKeepAlive = keepsIt();
  });
}

/**
 * Reads what a client sends before its upgrade is answered: only a connection that is read says
 * that its client is gone.
 */
export interface EarlyBytes {
  /** What came so far; from now on the connection is read by whoever asked. */
  take(): Buffer;
}

export function readEarly(socket: Duplex, head: Buffer): EarlyBytes {
  const pieces: Buffer[] = [head];
  let bytes = head.length;
  const hear = (piece: Buffer): void => {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > EARLY_BYTES_MAX) socket.destroy();
  };
  // It stays half open otherwise: Node's servers let their connections be so.
  const end = (): void => void socket.destroy();
  socket.on('data', hear).once('end', end);
  return {
    take() {
      socket.pause();
      socket.off('data', hear).off('end', end);
      return Buffer.concat(pieces);
    },
  };
}

// --- internal ---

const IS_UPGRADE = Symbol('upgrade');

/** Where no worker can answer 101, an upgrade is nothing but a few header fields. */
class PlainRequest extends IncomingMessage {
  // Node's constructor assigns it before any field of ours could be there.
  declare [IS_UPGRADE]: boolean;
  get upgrade(): boolean {
    return this[IS_UPGRADE] && this.method === 'CONNECT';
  }
  set upgrade(value: boolean) {
    this[IS_UPGRADE] = value;
  }
}

class UpgradableRequest extends PlainRequest {
  override get upgrade(): boolean {
    return this[IS_UPGRADE] && (this.method === 'CONNECT' || mayBecomeTunnel(this));
  }
  override set upgrade(value: boolean) {
    this[IS_UPGRADE] = value;
  }
}

/**
 * No body, for that could not be read behind an upgrade; and no protocol that replaces HTTP/1.1 on
 * this hop, which is ours to decide.
 */
function mayBecomeTunnel({ headers }: IncomingMessage): boolean {
  const { 'transfer-encoding': coding, 'content-length': length, upgrade = '' } = headers;
  if (coding !== undefined || Number(length ?? 0) !== 0) return false;
  return !/^\s*(?:h2c|tls\b)/i.test(upgrade);
}

function asksForUpgrade(request: IncomingMessage): boolean {
  return request instanceof PlainRequest && request[IS_UPGRADE];
}

const readBefore = new WeakMap<object, number>();

/** As nearly all clients write it: one space behind each colon. NaN for one in chunks. */
function sizeOf({ method = '', url = '', rawHeaders, headers }: IncomingMessage): number {
  if (headers['transfer-encoding'] !== undefined) return Number.NaN;
  let bytes = `${method} ${url} HTTP/1.1\r\n\r\n`.length + Number(headers['content-length'] ?? 0);
  for (const text of rawHeaders) bytes += text.length + 2;
  return bytes;
}

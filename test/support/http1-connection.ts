/** A strict HTTP/1.1 client connection: shows wrong framing that forgiving libraries would hide. */
import { connect, type Socket } from 'node:net';
import type { Answer, Ask } from './ask.ts';
import { ClientFailure } from './tally.ts';

export interface Target {
  /** Origin without path, e.g. `http://127.0.0.1:3000`. */
  readonly url: string;
  /** Connect there instead of to the host of the url. */
  readonly socketPath?: string;
}

export interface Http1Connection {
  readonly socket: Socket;
  /** Bytes received since the connection was made. */
  readonly bytesReceived: number;
  /** False once the peer closed, the connection failed, or an answer said `Connection: close`. */
  readonly usable: boolean;
  connected(): Promise<void>;
  /** Resolves with the next final answer; rejects with a socket error or a ClientFailure. */
  readAnswer(): Promise<Answer>;
  /** Resolves with the status of the next interim answer (1xx). */
  readInterim(): Promise<number>;
  /** True when the peer has sent bytes that nobody asked for. */
  hasLeftovers(): boolean;
}

/** Longest header block that is believed: Node's own limit is 16 KiB. */
const HEAD_LIMIT_BYTES = 64 * 1024;

export function openConnection(target: Target): Http1Connection {
  const { hostname, port } = new URL(target.url);
  const socket =
    target.socketPath === undefined
      ? connect({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true })
      : connect({ path: target.socketPath, allowHalfOpen: true });
  const reader = readSocket(socket);
  let lastAnswer = false;

  const readHead = async (): Promise<Head> => {
    const bytes = await reader.until('\r\n\r\n');
    return parseHead(bytes.toString('latin1'));
  };

  const readAnswer = async (): Promise<Answer> => {
    let head = await readHead();
    while (head.status < 200) head = await readHead();
    const body = await readBody(reader, head);
    if (head.headers['connection']?.toLowerCase() === 'close') lastAnswer = true;
    return { status: head.status, headers: head.headers, body };
  };

  return {
    socket,
    get bytesReceived() {
      return reader.received();
    },
    get usable() {
      return !lastAnswer && !reader.ended() && !socket.destroyed;
    },
    connected: () => waitForConnect(socket),
    readAnswer,
    readInterim: async () => (await readHead()).status,
    hasLeftovers: () => reader.buffered() > 0,
  };
}

/** The request as bytes of HTTP/1.1; `extraHeaders` are whole lines. */
export function encodeAsk(ask: Ask, host: string, extraHeaders = ''): [head: string, body: Buffer] {
  const length = ask.method === 'POST' ? `content-length: ${ask.body.length}\r\n` : '';
  const line = `${ask.method} ${ask.path} HTTP/1.1\r\n`;
  return [`${line}host: ${host}\r\nx-id: ${ask.id}\r\n${length}${extraHeaders}\r\n`, ask.body];
}

// --- internal ---

interface Head {
  readonly status: number;
  readonly headers: Record<string, string>;
}

interface SocketReader {
  until(mark: string): Promise<Buffer>;
  exactly(bytes: number): Promise<Buffer>;
  received(): number;
  buffered(): number;
  ended(): boolean;
}

function readSocket(socket: Socket): SocketReader {
  let buffer: Buffer = Buffer.alloc(0);
  let received = 0;
  let failure: Error | null = null;
  let wake: () => void = () => {};

  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
    buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
    wake();
  });
  const end = (error: Error): void => {
    failure ??= error;
    wake();
  };
  socket.on('error', end);
  socket.on('end', () => end(new ClientFailure('reset', 'the server closed the connection')));
  socket.on('close', () => end(new ClientFailure('reset', 'the connection is closed')));

  /** Waits until `take` finds what it looks for in the buffer: the number of bytes to hand out. */
  const take = async (find: () => number): Promise<Buffer> => {
    for (;;) {
      const length = find();
      if (length >= 0) {
        const bytes = buffer.subarray(0, length);
        buffer = buffer.subarray(length);
        return bytes;
      }
      if (failure !== null) throw failure;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };

  return {
    until: (mark) =>
      take(() => {
        const at = buffer.indexOf(mark);
        if (at < 0 && buffer.length > HEAD_LIMIT_BYTES) {
          throw new ClientFailure('wrongBody', 'an endless header block');
        }
        return at < 0 ? -1 : at + mark.length;
      }),
    exactly: (bytes) => take(() => (buffer.length >= bytes ? bytes : -1)),
    received: () => received,
    buffered: () => buffer.length,
    ended: () => failure !== null,
  };
}

function parseHead(text: string): Head {
  const [statusLine = '', ...lines] = text.trimEnd().split('\r\n');
  const match = /^HTTP\/1\.1 (\d{3}) /.exec(`${statusLine} `);
  if (match === null) {
    throw new ClientFailure('wrongBody', `no status line: ${statusLine.slice(0, 60)}`);
  }
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(match[1]), headers };
}

async function readBody(reader: SocketReader, head: Head): Promise<Buffer> {
  if (head.headers['transfer-encoding'] === 'chunked') return readChunks(reader);
  const length = Number(head.headers['content-length'] ?? (head.status === 204 ? 0 : Number.NaN));
  if (Number.isNaN(length)) throw new ClientFailure('wrongBody', 'an answer without a length');
  return reader.exactly(length);
}

async function readChunks(reader: SocketReader): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (;;) {
    const line = (await reader.until('\r\n')).toString('latin1').trim();
    const size = /^[0-9a-f]+$/i.test(line) ? Number.parseInt(line, 16) : Number.NaN;
    if (Number.isNaN(size)) throw new ClientFailure('wrongBody', `no chunk size: ${line}`);
    const chunk = await reader.exactly(size + 2);
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, size));
  }
}

function waitForConnect(socket: Socket): Promise<void> {
  if (!socket.connecting) return Promise.resolve();
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new ClientFailure('reset', 'closed while connecting')));
  });
}

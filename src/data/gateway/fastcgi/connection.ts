/** One connection to a FastCGI worker: bytes out, parts of records in, one listener at a time. */
import { connect, type Socket } from 'node:net';
import {
  createRecordDecoder,
  ProtocolError,
  type RecordDecoder,
  type RecordPart,
} from './record-decoder.ts';
import { encodeQuestion } from './record.ts';

export interface Listener {
  /** All parts of one chunk: at most 64 KiB. */
  onParts(parts: readonly RecordPart[]): void;
  /** Once; nothing follows. */
  onClosed(detail: string): void;
}

export interface Connection {
  readonly isOpen: boolean;
  /** Resolves when it is not. */
  readonly closed: Promise<void>;
  /**
   * Queues bytes; `onWritten` when the kernel has them all. False: it has enough for now, wait for
   * {@link drained}.
   */
  send(parts: readonly Buffer[], onWritten?: () => void): boolean;
  /** Resolves when there is room again, or the connection is closed. */
  drained(): Promise<void>;
  /** Who hears from now on. */
  listen(listener: Listener): void;
  pause(): void;
  resume(): void;
  /** At once; `onClosed` is called before it returns. */
  close(detail: string): void;
}

/** Connects to the unix socket; rejects with the system's error. */
export function openConnection(path: string): Promise<Connection> {
  return new Promise((resolve, reject) => {
    let hear: (chunk: Buffer) => void = () => undefined;
    const socket = connect({
      path,
      onread: {
        buffer: READ_BUFFER,
        callback(bytes, buffer) {
          // A copy, for the next read writes over it. (What Node does by itself, 64 KiB of fresh
          // memory for each read, costs ten times that.)
          hear(Buffer.from((buffer as Buffer).subarray(0, bytes)));
          return true;
        },
      },
    });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      const wrapped = wrap(socket);
      hear = wrapped.hear;
      resolve(wrapped.connection);
    });
  });
}

/**
 * Resolves when the worker has read from this connection and answered: it has no other request.
 * Says false when the connection was closed instead.
 */
export function untilFree(connection: Connection): Promise<boolean> {
  return new Promise((resolve) => {
    connection.listen({
      onParts: (parts) => resolve(parts.some(({ type }) => type === 'free')),
      onClosed: () => resolve(false),
    });
    connection.send([encodeQuestion()]);
  });
}

// --- internal ---

/** One for all: each read is heard before the next one, of whatever connection. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

function wrap(socket: Socket): { connection: Connection; hear: (chunk: Buffer) => void } {
  const decoder = createRecordDecoder();
  let listener: Listener | null = null;
  let isOpen = true;
  let tellClosed: () => void;
  const closed = new Promise<void>((resolve) => (tellClosed = resolve));

  function close(detail: string): void {
    if (!isOpen) return;
    isOpen = false;
    socket.destroy();
    tellClosed();
    listener?.onClosed(detail);
  }

  function hear(chunk: Buffer): void {
    if (!isOpen) return;
    const parts = decode(decoder, chunk);
    if (parts instanceof ProtocolError) return close(parts.message);
    listener?.onParts(parts);
  }

  socket.on('error', (error) => close(error.message));
  socket.on('end', () => close('the worker closed the connection'));
  socket.on('close', () => close('the connection was closed'));

  const connection: Connection = {
    get isOpen() {
      return isOpen;
    },
    closed,
    send(parts, onWritten) {
      if (!isOpen) return false;
      const last = parts.length - 1;
      if (last < 0) return true;
      if (last > 0) socket.cork();
      for (let index = 0; index < last; index += 1) socket.write(parts[index]!);
      socket.write(parts[last]!, (error) => {
        if (!error) onWritten?.();
      });
      if (last > 0) socket.uncork();
      return !socket.writableNeedDrain;
    },
    drained() {
      if (!isOpen || !socket.writableNeedDrain) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          socket.off('drain', done);
          socket.off('close', done);
          resolve();
        };
        socket.on('drain', done);
        socket.on('close', done);
      });
    },
    listen(next) {
      listener = next;
      if (!isOpen) next.onClosed('the connection was closed');
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close,
  };
  return { connection, hear };
}

function decode(decoder: RecordDecoder, chunk: Buffer): readonly RecordPart[] | ProtocolError {
  try {
    return decoder.decode(chunk);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

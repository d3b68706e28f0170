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
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(wrap(socket));
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

function wrap(socket: Socket): Connection {
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

  socket.on('data', (chunk) => {
    const parts = decode(decoder, chunk);
    if (parts instanceof ProtocolError) return close(parts.message);
    if (isOpen) listener?.onParts(parts);
  });
  socket.on('error', (error) => close(error.message));
  socket.on('end', () => close('the worker closed the connection'));
  socket.on('close', () => close('the connection was closed'));

  return {
    get isOpen() {
      return isOpen;
    },
    closed,
    send(parts, onWritten) {
      if (!isOpen) return false;
      socket.cork();
      parts.forEach((part, index) => {
        const isLast = index === parts.length - 1;
        socket.write(part, (error) => {
          if (isLast && !error) onWritten?.();
        });
      });
      socket.uncork();
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
}

function decode(decoder: RecordDecoder, chunk: Buffer): readonly RecordPart[] | ProtocolError {
  try {
    return decoder.decode(chunk);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

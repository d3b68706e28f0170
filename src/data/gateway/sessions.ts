/**
 * HTTP/2 sessions that nobody uses any more. Node has no limit for idle ones; and after a protocol
 * error Node 20 stops reading from a connection without a word, so that neither the error nor the
 * end of the connection is ever told. Streams are counted by the server's events: a listener on the
 * session itself leaks on Node 20 and 22.
 */
import type { Http2SecureServer, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { performance } from 'node:perf_hooks';

export interface SessionLimits {
  /** Without any stream: it is closed. */
  readonly idleMs: number;
  /** Without a byte in either direction: the client is asked with a PING. */
  readonly quietMs: { readonly busy: number; readonly idle: number };
  /** How long it may take to answer, or to close when it was told to. */
  readonly answerMs: number;
  readonly checkMs: number;
}

/** Closes sessions that are idle, and those whose client is gone. */
export function watchSessions(server: Http2SecureServer, limits: SessionLimits): void {
  const sessions = new Map<ServerHttp2Session, Book>();
  server.on('session', (session) => {
    const since = performance.now();
    const bytes = { bytesRead: 0, bytesWritten: 0, writeQueueSize: 0 };
    sessions.set(session, { streams: 0, ...bytes, since, ping: 'none' });
    session.once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream: ServerHttp2Stream) => {
    const book = sessions.get(stream.session as ServerHttp2Session);
    if (book === undefined) return;
    touch(book, 1);
    stream.once('close', () => touch(book, -1));
  });
  const watch = setInterval(() => {
    for (const [session, book] of sessions) look(session, book, limits);
  }, limits.checkMs);
  watch.unref();
  server.once('close', () => clearInterval(watch));
}

// --- internal ---

/** A PING on the wire: our own question is no sign of the client's life. */
const PING_BYTES = 17;

interface Book {
  streams: number;
  /** At the last sign of life. */
  bytesRead: number;
  bytesWritten: number;
  /** At the last look: a slow line takes what is queued bit by bit. */
  writeQueueSize: number;
  /** When it began to be idle, or quiet. */
  since: number;
  /** One in each time of quiet; when it was sent, while there is no answer. */
  ping: 'none' | 'answered' | { readonly sentAt: number };
}

function touch(book: Book, streams: number): void {
  book.streams += streams;
  book.since = performance.now();
  book.ping = 'none';
}

function look(session: ServerHttp2Session, book: Book, limits: SessionLimits): void {
  const now = performance.now();
  if (showsLife(session, book)) {
    if (book.streams > 0) touch(book, 0);
    else if (book.ping !== 'none') book.ping = 'answered';
  }
  const quietMs = now - book.since;
  const isIdle = book.streams === 0;
  if (typeof book.ping === 'object') {
    if (now - book.ping.sentAt > limits.answerMs) return session.destroy();
  } else if (book.ping === 'none' && quietMs > limits.quietMs[isIdle ? 'idle' : 'busy']) {
    book.ping = { sentAt: now };
    ping(session);
  }
  if (!isIdle || quietMs < limits.idleMs) return;
  if (quietMs > limits.idleMs + limits.answerMs) session.destroy();
  else if (!session.closed) session.close();
}

interface Handle {
  readonly bytesRead?: number;
  readonly bytesWritten?: number;
  /** Bytes that the kernel has no room for. */
  readonly writeQueueSize?: number;
}

function showsLife(session: ServerHttp2Session, book: Book): boolean {
  const socket = session.socket as unknown as { readonly _handle?: Handle | null } | undefined;
  const { bytesRead = 0, bytesWritten = 0, writeQueueSize = 0 } = socket?._handle ?? {};
  const isAlive =
    bytesRead !== book.bytesRead ||
    bytesWritten > book.bytesWritten + PING_BYTES ||
    writeQueueSize < book.writeQueueSize;
  if (isAlive) Object.assign(book, { bytesRead, bytesWritten });
  book.writeQueueSize = writeQueueSize;
  return isAlive;
}

function ping(session: ServerHttp2Session): void {
  try {
    session.ping(() => undefined);
  } catch {
    // It is closing; its time runs out.
  }
}

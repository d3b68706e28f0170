/**
 * HTTP/2 sessions that nobody uses any more. Node has no limit for idle ones; and after a protocol
 * error Node 20 stops reading from a connection without a word, so that neither the error nor the
 * end of the connection is ever told. Streams are counted by the server's events: a listener on the
 * session itself leaks on Node 20 and 22.
 */
import type { Http2SecureServer, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { performance } from 'node:perf_hooks';

export interface SessionLimits {
  /** Without any stream. */
  readonly idleMs: number;
  /** With streams, and without a byte in either direction: the client is asked with a PING. */
  readonly quietMs: number;
  /** How long it may take to answer, or to close when it was told to. */
  readonly answerMs: number;
  readonly checkMs: number;
}

/** Closes sessions that are idle, and those whose client is gone. */
export function watchSessions(server: Http2SecureServer, limits: SessionLimits): void {
  const sessions = new Map<ServerHttp2Session, Book>();
  server.on('session', (session) => {
    sessions.set(session, {
      streams: 0,
      bytesRead: 0,
      bytesWritten: 0,
      since: performance.now(),
      asked: false,
    });
    session.once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream: ServerHttp2Stream) => {
    const book = sessions.get(stream.session as ServerHttp2Session);
    if (book === undefined) return;
    book.streams += 1;
    stream.once('close', () => {
      book.streams -= 1;
      book.since = performance.now();
      book.asked = false;
    });
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
  /** When it began to be idle, or quiet. */
  since: number;
  /** It was told to close, or to answer. */
  asked: boolean;
}

function look(session: ServerHttp2Session, book: Book, limits: SessionLimits): void {
  const now = performance.now();
  if (book.streams > 0 && showsLife(session, book)) {
    book.since = now;
    book.asked = false;
  }
  const quietMs = now - book.since;
  const limitMs = book.streams > 0 ? limits.quietMs : limits.idleMs;
  if (quietMs > limitMs + limits.answerMs) session.destroy();
  else if (quietMs > limitMs && !book.asked) {
    book.asked = true;
    if (book.streams === 0) session.close();
    else ping(session);
  }
}

interface Handle {
  readonly bytesRead?: number;
  readonly bytesWritten?: number;
}

function showsLife(session: ServerHttp2Session, book: Book): boolean {
  const { _handle: handle } = session.socket as unknown as { readonly _handle?: Handle | null };
  const { bytesRead = 0, bytesWritten = 0 } = handle ?? {};
  const isAlive = bytesRead !== book.bytesRead || bytesWritten > book.bytesWritten + PING_BYTES;
  if (isAlive) Object.assign(book, { bytesRead, bytesWritten });
  return isAlive;
}

function ping(session: ServerHttp2Session): void {
  try {
    session.ping(() => undefined);
  } catch {
    // It is closing; its time runs out.
  }
}

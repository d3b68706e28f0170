/** The wire of a load over HTTP/2: a few sessions, their streams shared evenly. */
import { connect, constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import { failureOf, openReader } from './load-request.ts';
import type { Outcome, Wire, WireOptions, WireRequest } from './load-request.ts';

/** As `openWire`, for servers that speak HTTP/2: by TLS, or in clear with prior knowledge. */
export function openHttp2Wire({ url, keepAlive, timeoutMs }: WireOptions): Wire {
  const lines = new Set<Line>();
  const open = (): Line => {
    // A certificate is made for the public name of the app, not for this loopback address.
    const session = connect(url.origin, { rejectUnauthorized: false });
    const line = { session, streams: 0 };
    lines.add(line);
    const drop = (): void => void lines.delete(line);
    session.on('goaway', drop);
    session.on('close', drop);
    // What it means is told by each of its streams.
    session.on('error', drop);
    return line;
  };
  const pick = (): Line => {
    if (!keepAlive) return open();
    const [least] = [...lines].sort((a, b) => a.streams - b.streams);
    return least !== undefined && least.streams < STREAMS_PER_SESSION ? least : open();
  };
  return {
    async send(request) {
      const line = pick();
      line.streams += 1;
      const outcome = await send(line.session, timeoutMs, request);
      line.streams -= 1;
      if (!keepAlive) line.session.destroy();
      return outcome;
    },
    close() {
      for (const { session } of lines) session.destroy();
    },
  };
}

// --- internal ---

interface Line {
  readonly session: ClientHttp2Session;
  streams: number;
}

/** Below what any server allows; several sessions show what each of them costs. */
const STREAMS_PER_SESSION = 8;

/** Headers of a connection, which HTTP/2 refuses. */
const DROPPED = /^(connection|host|keep-alive|proxy-connection|transfer-encoding|upgrade)$/i;

function headersOf({ method, path, headers }: WireRequest): OutgoingHttpHeaders {
  const kept = Object.entries(headers).filter(([name]) => !DROPPED.test(name));
  return { ...Object.fromEntries(kept), ':method': method, ':path': path };
}

function send(
  session: ClientHttp2Session,
  timeoutMs: number,
  asked: WireRequest,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const name = `${asked.method} ${asked.path}`;
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(headersOf(asked), { endStream: asked.body === null });
    } catch (error) {
      resolve(failureOf(error as Error, asked));
      return;
    }
    let headers: Record<string, string | string[] | undefined> = {};
    const reader = openReader(asked.keepBody);
    const settle = (outcome: Outcome): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    const timer = setTimeout(() => {
      const silent = !session.connecting && headers[':status'] === undefined;
      const note = `${name}: no (end of an) answer in ${timeoutMs} ms`;
      settle({ type: 'failure', failure: silent ? 'hung' : 'timeout', note });
      stream.close(constants.NGHTTP2_CANCEL);
    }, timeoutMs);
    let ended = false;
    let failed: Error | null = null;
    stream.on('response', (received) => (headers = received as typeof headers));
    stream.on('data', reader.take);
    stream.on('end', () => (ended = true));
    stream.on('error', (error) => (failed = error));
    stream.on('close', () => {
      const status = Number(headers[':status']);
      if (failed === null && ended && status > 0) {
        settle({ type: 'answer', answer: { status, headers, body: reader.body() } });
      } else settle(failureOf(failed ?? new Error('the stream was closed early'), asked));
    });
    if (asked.body !== null) stream.end(asked.body);
  });
}

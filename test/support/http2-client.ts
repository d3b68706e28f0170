/** Node's own HTTP/2 client, as the RFC wants: new session after GOAWAY, refused streams again. */
import { connect, constants, type ClientHttp2Session } from 'node:http2';
import type { Answer, Ask } from './ask.ts';
import type { Sender } from './clients.ts';
import type { Target } from './http1-connection.ts';
import { ClientFailure } from './tally.ts';
import { TEST_CA } from './test-ca.ts';

const STREAMS_PER_SESSION = 8;
/** A request that is refused so often is not being retried, it is being turned away. */
const REFUSALS_LIMIT = 10;

const NEVER_SENT = new Set([
  'ERR_HTTP2_GOAWAY_SESSION',
  'ERR_HTTP2_INVALID_SESSION',
  'ERR_HTTP2_OUT_OF_STREAMS',
]);

export function openHttp2Sender(target: Target, clients: number): Sender {
  const sessions = Array.from<ClientHttp2Session | undefined>({
    length: Math.ceil(clients / STREAMS_PER_SESSION),
  });
  const every = new Set<ClientHttp2Session>();

  const sessionFor = (lane: number): ClientHttp2Session => {
    const index = lane % sessions.length;
    const current = sessions[index];
    if (current !== undefined && !current.closed && !current.destroyed) return current;
    const session = connect(target.url, { ca: TEST_CA });
    every.add(session);
    sessions[index] = session;
    const replace = (): void => {
      if (sessions[index] === session) sessions[index] = undefined;
    };
    session.on('goaway', replace);
    session.on('error', replace);
    session.on('close', () => {
      replace();
      every.delete(session);
    });
    return session;
  };

  return {
    async send({ ask, lane, watch, tally }) {
      for (let refusals = 0; ;) {
        try {
          return await askOn(sessionFor(lane), ask, watch.signal, () => {
            watch.phase = 'answering';
          });
        } catch (error) {
          const retry = retryOf(error);
          if (retry === 'no' || (refusals += 1) > REFUSALS_LIMIT) throw error;
          if (retry === 'refused') tally.refusedStream += 1;
        }
      }
    },
    close() {
      for (const session of every) session.destroy();
    },
  };
}

// --- internal ---

function askOn(
  session: ClientHttp2Session,
  ask: Ask,
  signal: AbortSignal,
  onResponse: () => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      { ':method': ask.method, ':path': ask.path, 'x-id': ask.id },
      { signal, endStream: false },
    );
    const chunks: Buffer[] = [];
    let headers: Record<string, string> = {};
    let ended = false;
    stream.on('response', (received) => {
      onResponse();
      headers = received as Record<string, string>;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => (ended = true));
    stream.on('error', (error) => reject(refusedOr(stream.rstCode, error)));
    stream.on('close', () => {
      const status = Number(headers[':status']);
      if (ended && status > 0) resolve({ status, headers, body: Buffer.concat(chunks) });
      else reject(refusedOr(stream.rstCode, new ClientFailure('reset', 'stream closed early')));
    });
    stream.end(ask.body);
  });
}

function refusedOr(resetCode: number, error: Error): Error {
  if (resetCode !== constants.NGHTTP2_REFUSED_STREAM) return error;
  return Object.assign(new Error('REFUSED_STREAM'), { code: 'REFUSED_STREAM' });
}

/** Whether the request certainly was not processed, so that a client may send it again. */
function retryOf(error: unknown): 'refused' | 'unsent' | 'no' {
  const code = (error as { code?: string }).code ?? '';
  if (code === 'REFUSED_STREAM') return 'refused';
  return NEVER_SENT.has(code) ? 'unsent' : 'no';
}

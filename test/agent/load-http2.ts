/** HTTP/2 clients: sessions with several streams in flight, opened anew after a GOAWAY. */
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { sleep } from './load.ts';

export interface Http2Tally {
  answered: number;
  failed: string[];
  hung: string[];
  mismatched: string[];
  /** REFUSED_STREAM: never processed, a client may retry. */
  refused: number;
  goaways: number;
  readonly pids: Set<number>;
}

export interface Http2Load {
  readonly tally: Http2Tally;
  stop(): Promise<Http2Tally>;
}

/** Keeps `streams` requests in flight on each of `sessions` sessions until stopped. */
export function startHttp2Load(origin: string, sessions = 4, streams = 4): Http2Load {
  const tally: Http2Tally = {
    answered: 0,
    failed: [],
    hung: [],
    mismatched: [],
    refused: 0,
    goaways: 0,
    pids: new Set(),
  };
  const run = { on: true };
  const clients = Array.from({ length: sessions }, () => runSessions(origin, streams, tally, run));
  return {
    tally,
    async stop() {
      run.on = false;
      await Promise.all(clients);
      return tally;
    },
  };
}

// --- internal ---

const ANSWER_TIMEOUT_MS = 10_000;

let serial = 0;

async function runSessions(
  origin: string,
  streams: number,
  tally: Http2Tally,
  run: { readonly on: boolean },
): Promise<void> {
  let session: ClientHttp2Session | null = null;
  const current = () => {
    if (session === null || session.closed || session.destroyed) {
      session = connect(origin, { rejectUnauthorized: false });
      session.on('goaway', () => {
        tally.goaways++;
      });
      // Each stream gets its own error, and counts it.
      session.on('error', () => undefined);
    }
    return session;
  };
  const lane = async () => {
    while (run.on) {
      await request(current(), tally);
      await sleep(Math.random() * 10);
    }
  };
  await Promise.all(Array.from({ length: streams }, lane));
  current().close();
}

function request(session: ClientHttp2Session, tally: Http2Tally): Promise<void> {
  const url = `/?ms=${Math.floor(Math.random() * 8)}&n=${++serial}`;
  const size = serial % 2 === 0 ? 0 : 2000;
  return new Promise((resolve) => {
    const method = size === 0 ? 'GET' : 'POST';
    const stream = session.request({ ':path': url, ':method': method });
    const timer = setTimeout(() => {
      tally.hung.push(url);
      stream.close();
    }, ANSWER_TIMEOUT_MS);
    let body = '';
    let status = 0;
    let failure: string | null = null;
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    stream.setEncoding('latin1');
    stream.on('data', (chunk: string) => {
      body += chunk;
    });
    stream.on('error', (error) => {
      failure = error.message;
    });
    stream.once('close', () => {
      clearTimeout(timer);
      if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) tally.refused++;
      else if (failure !== null || status === 0)
        tally.failed.push(`${url}: ${failure ?? 'closed'}`);
      else check(tally, url, size, status, body);
      resolve();
    });
    // A body in two parts, so that a drain finds half-sent ones.
    if (size > 0) {
      stream.write('x'.repeat(size / 2));
      setTimeout(() => stream.end('x'.repeat(size / 2)), 3);
    } else stream.end();
  });
}

function check(tally: Http2Tally, url: string, size: number, status: number, body: string): void {
  const told = JSON.parse(body || '{}') as { pid?: number; url?: string; bytes?: number };
  if (status !== 200 || told.url !== url || told.bytes !== size || told.pid === undefined) {
    tally.mismatched.push(`${url}: ${status} ${body}`);
    return;
  }
  tally.answered++;
  tally.pids.add(told.pid);
}

/** One request of a load on the wire, over HTTP/1.1, and what became of it. */
import * as http from 'node:http';
import * as https from 'node:https';

/** Why a request failed; the words of the JSON result. */
export const FAILURE_CLASSES = [
  /** Nobody accepted the connection. */
  'refused',
  /** The connection broke while an answer was owed. */
  'reset',
  /** The answer began and did not end in time, or no connection was made in time. */
  'timeout',
  /** The request was sent and not one byte came back in time. */
  'hung',
  /** A whole answer, but not the one to this request. */
  'wrong_body',
  /** A whole answer with another status. */
  'non_2xx',
  'other',
] as const;

export type FailureClass = (typeof FAILURE_CLASSES)[number];

export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** Whether somebody looks at the body of the answer; else it is only read. */
  readonly keepBody: boolean;
}

export interface Answer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Empty unless it was asked for; cut after {@link BODY_LIMIT_BYTES}. */
  readonly body: Buffer;
}

export type Outcome =
  | { readonly type: 'answer'; readonly answer: Answer }
  | { readonly type: 'failure'; readonly failure: FailureClass; readonly note: string };

export interface Wire {
  /** Never rejects. */
  send(request: WireRequest): Promise<Outcome>;
  /** Ends the idle connections. */
  close(): void;
}

/** Bodies kept for a check: the memory of the generator must stay flat next to a leaking app. */
export const BODY_LIMIT_BYTES = 1024 * 1024;

/**
 * An idle connection is not used again after so long: Node's servers close theirs after 5 s, and a
 * request that meets that close is lost by nobody's fault.
 */
const IDLE_LIMIT_MS = 4_000;

export interface WireOptions {
  readonly url: URL;
  readonly keepAlive: boolean;
  readonly timeoutMs: number;
}

export function openWire({ url, keepAlive, timeoutMs }: WireOptions): Wire {
  // First in, first out keeps every connection in use.
  const options = { keepAlive, scheduling: 'fifo', timeout: IDLE_LIMIT_MS } as const;
  // A certificate is made for the public name of the app, not for this loopback address.
  const agent =
    url.protocol === 'https:'
      ? new https.Agent({ ...options, rejectUnauthorized: false })
      : new http.Agent(options);
  return {
    send: (request) => send(agent, url, timeoutMs, request),
    close: () => agent.destroy(),
  };
}

/** Reads a body to its end, and keeps of it what may be kept. */
export function openReader(keepBody: boolean): {
  readonly take: (chunk: Buffer) => void;
  readonly body: () => Buffer;
} {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    take(chunk) {
      if (keepBody && bytes < BODY_LIMIT_BYTES) chunks.push(chunk);
      bytes += chunk.length;
    },
    body: () => Buffer.concat(chunks).subarray(0, BODY_LIMIT_BYTES),
  };
}

/** The class of an error; also that of a stream, whose cause is what ended its session. */
export function failureOf(error: Error, asked: WireRequest): Outcome {
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const garbage = code.startsWith('HPE_');
  const failure = garbage ? 'wrong_body' : (ERROR_CLASSES[code] ?? 'other');
  const note = `${asked.method} ${asked.path}: ${code || cause.message}`;
  return { type: 'failure', failure, note };
}

// --- internal ---

/** `other`: look at the note. */
const ERROR_CLASSES: Readonly<Record<string, FailureClass>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNABORTED: 'reset',
  ERR_HTTP2_STREAM_ERROR: 'reset',
  ERR_HTTP2_STREAM_CANCEL: 'reset',
  ERR_HTTP2_SESSION_ERROR: 'reset',
  ETIMEDOUT: 'timeout',
};

function send(
  agent: http.Agent,
  url: URL,
  timeoutMs: number,
  asked: WireRequest,
): Promise<Outcome> {
  const startRequest = url.protocol === 'https:' ? https.request : http.request;
  return new Promise((resolve) => {
    let connected = false;
    let bytesBefore = 0;
    const outgoing = startRequest(new URL(asked.path, url), {
      agent,
      method: asked.method,
      headers: asked.headers,
    });
    const settle = (outcome: Outcome): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    const timer = setTimeout(() => {
      const silent = connected && (outgoing.socket?.bytesRead ?? 0) === bytesBefore;
      const note = `${asked.method} ${asked.path}: no (end of an) answer in ${timeoutMs} ms`;
      settle({ type: 'failure', failure: silent ? 'hung' : 'timeout', note });
      outgoing.destroy();
    }, timeoutMs);
    const fail = (error: Error): void => settle(failureOf(error, asked));
    outgoing.on('socket', (socket) => {
      bytesBefore = socket.bytesRead;
      if (socket.connecting) socket.once('connect', () => (connected = true));
      else connected = true;
    });
    outgoing.on('error', fail);
    outgoing.on('response', (incoming) =>
      read(incoming, asked.keepBody, (answer) => settle({ type: 'answer', answer }), fail),
    );
    outgoing.end(asked.body ?? undefined);
  });
}

function read(
  incoming: http.IncomingMessage,
  keepBody: boolean,
  done: (answer: Answer) => void,
  fail: (error: Error) => void,
): void {
  const reader = openReader(keepBody);
  incoming.on('data', reader.take);
  incoming.on('error', fail);
  incoming.on('end', () =>
    done({
      status: incoming.statusCode ?? 0,
      headers: incoming.headers,
      body: reader.body(),
    }),
  );
}

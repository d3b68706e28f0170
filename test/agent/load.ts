/**
 * Clients that use a server in every way HTTP/1.1 allows, over raw sockets, so that nothing is
 * retried or hidden. A request counts as answered only when its own answer came.
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export type Target = { readonly port: number; readonly tls?: boolean } | { readonly path: string };

export const KINDS = [
  'simple',
  'split',
  'pipelined',
  'slowBody',
  'chunked',
  'expect',
  'early',
  'fresh',
  'lazy',
] as const;

export type Kind = (typeof KINDS)[number];

export interface Tally {
  answered: number;
  /** Closed or reset before the answer. */
  failed: string[];
  /** No answer in time. */
  hung: string[];
  /** Somebody else's answer, or a status other than 200. */
  mismatched: string[];
  /** Pipelined behind an answer that said `Connection: close`: never processed, may be retried. */
  leftOver: number;
  /** Answers by the process that gave them. */
  readonly pids: Map<number, number>;
}

export interface Load {
  readonly tally: Tally;
  /** Ends when every client has its last answer. */
  stop(): Promise<Tally>;
}

/** Runs `perKind` clients of each kind until stopped. */
export function startLoad(target: Target, kinds: readonly Kind[] = KINDS, perKind = 2): Load {
  const tally: Tally = {
    answered: 0,
    failed: [],
    hung: [],
    mismatched: [],
    leftOver: 0,
    pids: new Map(),
  };
  const run = { on: true };
  const clients = kinds.flatMap((kind) =>
    Array.from({ length: perKind }, () => runClient(target, kind, tally, run)),
  );
  return {
    tally,
    async stop() {
      run.on = false;
      await Promise.all(clients);
      return tally;
    },
  };
}

/** One keep-alive connection. */
export interface Line {
  readonly socket: Socket;
  /** The server said that it closes, or did. */
  closed: boolean;
  ask(): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly close: boolean;
  readonly body: string;
}

/** Opens a connection; answers come in the order in which they were asked for. */
export function openLine(target: Target): Promise<Line> {
  const waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  const socket =
    'port' in target && target.tls === true
      ? connectTls({ port: target.port, host: '127.0.0.1', rejectUnauthorized: false })
      : connect('port' in target ? { port: target.port, host: '127.0.0.1' } : target);
  const line: Line = {
    socket,
    closed: false,
    ask: () =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
      }),
  };
  // Else Nagle glues the end of a body to the next request, and no connection is ever idle.
  socket.setNoDelay(true);
  let buffer = '';
  const end = (error: Error) => {
    line.closed = true;
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  socket.on('data', (chunk) => {
    buffer += chunk.toString('latin1');
    for (let found = parse(buffer); found !== null; found = parse(buffer)) {
      buffer = buffer.slice(found.length);
      const { answer } = found;
      if (answer.close) line.closed = true;
      waiting.shift()?.resolve(answer);
      if (answer.close) end(new Error(LEFT_OVER));
    }
  });
  socket.on('error', end);
  socket.on('end', () => {
    end(new Error('closed by the server'));
    socket.destroy();
  });
  socket.on('close', () => {
    end(new Error('closed'));
  });
  return new Promise((resolve, reject) => {
    const ready = 'port' in target && target.tls === true ? 'secureConnect' : 'connect';
    socket.once(ready, () => {
      resolve(line);
    });
    socket.once('error', reject);
  });
}

/** The text of a request; with a body, its end is `Content-Length` bytes later. */
export function head(method: string, url: string, extra: readonly string[] = []): string {
  return [`${method} ${url} HTTP/1.1`, 'Host: test', ...extra, '', ''].join('\r\n');
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

// --- internal ---

const ANSWER_TIMEOUT_MS = 10_000;
const LEFT_OVER = 'left over';

let serial = 0;

function parse(text: string): { answer: Answer; length: number } | null {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const headers = text.slice(0, headEnd);
  const status = Number(headers.slice(9, 12));
  const close = /\r\nconnection: close/i.test(headers);
  const start = headEnd + 4;
  if (status === 100) return { answer: { status, close: false, body: '' }, length: start };
  const size = /\r\ncontent-length: (\d+)/i.exec(headers)?.[1];
  if (size !== undefined) {
    const length = start + Number(size);
    if (text.length < length) return null;
    return { answer: { status, close, body: text.slice(start, length) }, length };
  }
  const chunks = parseChunks(text, start);
  return chunks && { answer: { status, close, body: chunks.body }, length: chunks.end };
}

function parseChunks(text: string, start: number): { body: string; end: number } | null {
  let body = '';
  for (let at = start; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (text.length < next) return null;
    if (size === 0) return { body, end: next };
    body += text.slice(lineEnd + 2, next - 2);
    at = next;
  }
}

async function runClient(
  target: Target,
  kind: Kind,
  tally: Tally,
  run: { readonly on: boolean },
): Promise<void> {
  let line: Line | null = null;
  while (run.on) {
    try {
      if (line === null || line.closed) {
        line?.socket.destroy();
        line = await openLine(target);
      }
      if (kind === 'lazy') await sleep(Math.random() * 150);
      if (line.closed) continue;
      await EXCHANGES[kind](line, tally);
      if (kind === 'fresh') line.socket.destroy();
    } catch (error) {
      line?.socket.destroy();
      tally.failed.push(`${kind}: ${String(error)}`);
    }
    await sleep(Math.random() * 10);
  }
  line?.socket.destroy();
}

type Exchange = (line: Line, tally: Tally) => Promise<void>;

const BODY = 'x'.repeat(3000);

const EXCHANGES: Readonly<Record<Kind, Exchange>> = {
  async simple(line, tally) {
    const url = nextUrl();
    line.socket.write(head('GET', url));
    await expectAnswer(line, tally, 'simple', url, 0);
  },
  async split(line, tally) {
    const url = nextUrl();
    const text = head('GET', url, ['X-Padding: ' + 'p'.repeat(50)]);
    const answer = expectAnswer(line, tally, 'split', url, 0);
    for (let at = 0; at < text.length; at += 40) {
      line.socket.write(text.slice(at, at + 40));
      await sleep(2);
    }
    await answer;
  },
  async pipelined(line, tally) {
    const urls = [nextUrl(), nextUrl(), nextUrl()];
    line.socket.write(urls.map((url) => head('GET', url)).join(''));
    await Promise.all(urls.map((url) => expectAnswer(line, tally, 'pipelined', url, 0)));
  },
  async slowBody(line, tally) {
    const url = nextUrl();
    line.socket.write(head('POST', url, [`Content-Length: ${BODY.length}`]));
    const answer = expectAnswer(line, tally, 'slowBody', url, BODY.length);
    for (let at = 0; at < BODY.length; at += 500) {
      await sleep(4);
      line.socket.write(BODY.slice(at, at + 500));
    }
    await answer;
  },
  async chunked(line, tally) {
    const url = nextUrl();
    line.socket.write(head('POST', url, ['Transfer-Encoding: chunked']));
    const answer = expectAnswer(line, tally, 'chunked', url, BODY.length);
    for (let at = 0; at < BODY.length; at += 1000) {
      await sleep(3);
      line.socket.write(`3e8\r\n${BODY.slice(at, at + 1000)}\r\n`);
    }
    line.socket.write('0\r\n\r\n');
    await answer;
  },
  async expect(line, tally) {
    const url = nextUrl();
    const headers = [`Content-Length: ${BODY.length}`, 'Expect: 100-continue'];
    line.socket.write(head('POST', url, headers));
    const interim = await within(line.ask(), 'expect');
    if (interim.status !== 100) tally.mismatched.push(`expect: interim ${interim.status}`);
    line.socket.write(BODY);
    await expectAnswer(line, tally, 'expect', url, BODY.length);
  },
  /** The answer comes before the body has been sent. */
  async early(line, tally) {
    const url = `/early${nextUrl()}`;
    line.socket.write(head('POST', url, [`Content-Length: ${BODY.length}`]));
    await expectAnswer(line, tally, 'early', url, 0);
    // After `Connection: close` nobody wants the rest.
    for (let at = 0; at < BODY.length && !line.closed; at += 1000) {
      await sleep(2);
      line.socket.write(BODY.slice(at, at + 1000));
    }
  },
  async fresh(line, tally) {
    const url = nextUrl();
    line.socket.write(head('GET', url, ['Connection: close']));
    await expectAnswer(line, tally, 'fresh', url, 0);
  },
  async lazy(line, tally) {
    const url = nextUrl();
    line.socket.write(head('GET', url));
    await expectAnswer(line, tally, 'lazy', url, 0);
  },
};

function nextUrl(): string {
  return `/?ms=${Math.floor(Math.random() * 8)}&n=${++serial}`;
}

async function expectAnswer(
  line: Line,
  tally: Tally,
  kind: Kind,
  url: string,
  bytes: number,
): Promise<void> {
  let answer: Answer;
  try {
    answer = await within(line.ask(), kind);
  } catch (error) {
    const { message } = error as Error;
    if (message === LEFT_OVER) tally.leftOver++;
    else if (message.startsWith('hung')) tally.hung.push(`${kind} ${url}`);
    else tally.failed.push(`${kind} ${url}: ${message}`);
    line.closed = true;
    return;
  }
  const told = parseBody(answer.body);
  if (answer.status !== 200 || told?.url !== url || told.bytes !== bytes) {
    tally.mismatched.push(`${kind} ${url}: ${answer.status} ${answer.body.slice(0, 200)}`);
    return;
  }
  tally.answered++;
  tally.pids.set(told.pid, (tally.pids.get(told.pid) ?? 0) + 1);
}

function parseBody(body: string): { pid: number; url: string; bytes: number } | null {
  try {
    return JSON.parse(body) as { pid: number; url: string; bytes: number };
  } catch {
    return null;
  }
}

async function within(answer: Promise<Answer>, what: string): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`hung: ${what}`));
    }, ANSWER_TIMEOUT_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A request unlike every other one, and the check of its answer (of test/apps/echo.cjs). */
import { createHash, randomBytes } from 'node:crypto';
import { countFailure, type Tally } from './tally.ts';

export interface Ask {
  /** Unique in the whole run; the server gives it back. */
  readonly id: string;
  readonly method: 'GET' | 'POST';
  /** Path with query. */
  readonly path: string;
  /** Empty for GET. */
  readonly body: Buffer;
}

/** What every client makes of an answer. Header names are lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface AskOptions {
  /** Paths to take in turn; `POST /upload` style entries send a body. Default: a mix of all. */
  readonly paths?: readonly string[];
  /** Size of the bodies of POST requests. */
  readonly bodyBytes?: number;
}

export const DEFAULT_PATHS: readonly string[] = [
  'GET /',
  'POST /upload',
  'GET /slow?ms=20',
  'GET /download?bytes=40000',
];

/** Returns a function that makes the next request; the bodies are random but cheap to make. */
export function askMaker(options: AskOptions = {}): () => Ask {
  const paths = options.paths ?? DEFAULT_PATHS;
  const noise = randomBytes(options.bodyBytes ?? 8 * 1024);
  const prefix = randomBytes(4).toString('hex');
  let count = 0;
  return () => {
    const [method, path] = (paths[count % paths.length] ?? 'GET /').split(' ', 2);
    count += 1;
    const id = `${prefix}-${count}`;
    const body = method === 'POST' ? Buffer.concat([Buffer.from(id), noise]) : Buffer.alloc(0);
    return { id, method: method === 'POST' ? 'POST' : 'GET', path: path ?? '/', body };
  };
}

/** Counts the answer: ok, or the class in which it fails. */
export function countAnswer(tally: Tally, ask: Ask, answer: Answer): void {
  const worker = Number(answer.headers['x-worker']);
  if (worker > 0) tally.workers.add(worker);
  if (answer.status < 200 || answer.status > 299) {
    const text = answer.body.toString('latin1', 0, 80);
    countFailure(tally, 'non2xx', `${ask.method} ${ask.path}: ${answer.status} ${text}`);
    return;
  }
  const wrong = findMistake(ask, answer);
  if (wrong === null) tally.ok += 1;
  else countFailure(tally, 'wrongBody', `${ask.method} ${ask.path} by ${worker}: ${wrong}`);
}

export function hashOf(body: Buffer): string {
  return createHash('sha1').update(body).digest('hex').slice(0, 16);
}

// --- internal ---

function findMistake(ask: Ask, answer: Answer): string | null {
  const { headers, body } = answer;
  if (headers['x-id'] !== ask.id) return `asked as ${ask.id}, answered ${headers['x-id']}`;
  const hash = ask.path.startsWith('/early') ? '' : hashOf(ask.body);
  if ((headers['x-hash'] ?? '') !== hash) {
    return `sent a body with hash ${hash}, the server saw ${headers['x-hash']}`;
  }
  const expected = ask.path.startsWith('/download')
    ? downloadOf(ask)
    : Buffer.from(`id=${ask.id} hash=${hash} worker=${headers['x-worker']}\n`);
  if (expected.equals(body)) return null;
  return `${body.length} bytes instead of ${expected.length}, or others than expected`;
}

function downloadOf(ask: Ask): Buffer {
  const bytes = Number(new URL(ask.path, 'http://app').searchParams.get('bytes') ?? 65_536);
  return Buffer.alloc(bytes, `${ask.id}\n`);
}

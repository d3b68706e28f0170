/**
 * A child of a php-cgi parent as a worker. All children accept on one socket, so what makes one of
 * them a worker of its own is a connection that is opened once, never shared and never opened
 * again: when it is lost, so is the worker.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Upstream } from '../types.ts';
import { openConnection, type Connection } from './connection.ts';
import { encodeHead } from './record.ts';
import { serveOver, type FastCgiOptions } from './upstream.ts';

export interface ZygoteChild {
  readonly pid: number;
  readonly upstream: Upstream;
}

export interface ZygoteOptions extends FastCgiOptions {
  /** Absolute path of the file with PID_SCRIPT. */
  readonly pidScript: string;
  /** Its connection is closed: it can be anybody's now, so its process has to end. Once. */
  readonly onLost: (pid: number) => void;
  /** Children that were told to end: one that heard it while idle still takes a connection. */
  readonly isCondemned: (pid: number) => boolean;
  /** For the whole of it: connect, be accepted by a child that is free, hear its pid. */
  readonly timeoutMs: number;
}

/**
 * Takes the next free child. Rejects when nobody listens, when none is free in time, or when the
 * script does not run (open_basedir that leaves it out).
 */
export async function adoptChild(options: ZygoteOptions): Promise<ZygoteChild> {
  const deadline = performance.now() + options.timeoutMs;
  let [pid, connection] = await connectChild(options, deadline);
  while (options.isCondemned(pid)) {
    // Without a connection it ends at once; asked again too soon, it would be accepting still.
    connection.close('it is about to end');
    await sleep(RETRY_MS);
    [pid, connection] = await connectChild(options, deadline);
  }
  void connection.closed.then(() => options.onLost(pid));
  return { pid, upstream: serveOver(options, refuseAnother, connection) };
}

// --- internal ---

/** A pid has few digits; a page of warnings shall not be taken for one. */
const ANSWER_MAX_BYTES = 4 * 1024;

/** php-cgi needs 6 ms from TERM to its end. */
const RETRY_MS = 10;

async function connectChild(
  options: ZygoteOptions,
  deadline: number,
): Promise<[pid: number, connection: Connection]> {
  const connection = await openConnection(options.socketPath);
  const leftMs = Math.max(0, deadline - performance.now());
  const timer = setTimeout(() => connection.close('no child was free in time'), leftMs);
  try {
    return [await askPid(connection, options.pidScript), connection];
  } finally {
    clearTimeout(timer);
  }
}

function askPid(connection: Connection, script: string): Promise<number> {
  const file = Buffer.from(script, 'utf8').toString('latin1');
  const variables = new Map([
    ['REQUEST_METHOD', 'GET'],
    ['SCRIPT_FILENAME', file],
    ['SCRIPT_NAME', '/pid'],
    ['REDIRECT_STATUS', '200'],
  ]);
  const head = encodeHead(variables, { keep: true, hasBody: false });
  return new Promise((resolve, reject) => {
    let text = '';
    const give = (problem: string): void => {
      reject(new Error(`php-cgi does not tell its pid: ${problem}`));
      connection.close(problem);
    };
    connection.listen({
      onParts(parts) {
        for (const part of parts) {
          if (part.type === 'stdout') text += part.content.toString('latin1');
          if (text.length > ANSWER_MAX_BYTES) return give('it talks too much');
          if (part.type !== 'end') continue;
          const pid = Number(/\r?\n\r?\n(\d+)$/.exec(text)?.[1]);
          return Number.isSafeInteger(pid) ? resolve(pid) : give(text.slice(0, 200));
        }
      },
      onClosed: (detail) => give(detail),
    });
    if (head === null) give('the path of its script is too long');
    else connection.send([head]);
  });
}

function refuseAnother(): Promise<Connection> {
  return Promise.reject(new Error('the connection to this worker is lost'));
}

/**
 * Connections that the kernel has established and no worker has accepted yet: the queue in front of
 * a pool of workers that share their sockets.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Root } from './process-memory.ts';

/** Synchronous, some 50 µs; 0 where the kernel does not tell (macOS, unix sockets). */
export function readAcceptQueue(ports: ReadonlySet<number>, { root = '/' }: Root = {}): number {
  if (ports.size === 0) return 0;
  return ['tcp', 'tcp6'].reduce(
    (sum, table) => sum + waitingIn(readHead(`${root}/proc/self/net/${table}`), ports),
    0,
  );
}

// --- internal ---

/** Listening sockets come first in the table, which may go on with 100 000 connections. */
const HEAD_BYTES = 64 * 1024;

const LISTEN = '0A';

const head = Buffer.allocUnsafe(HEAD_BYTES);

function readHead(path: string): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    // No such table here.
    return '';
  }
  try {
    return head.toString('latin1', 0, readSync(file, head, 0, HEAD_BYTES, 0));
  } catch {
    return '';
  } finally {
    closeSync(file);
  }
}

/** `0: 0100007F:0BB8 00000000:0000 0A 00000000:00000005 …`: 5 wait at port 3000. */
function waitingIn(table: string, ports: ReadonlySet<number>): number {
  let waiting = 0;
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', , state, queues = ''] = line.trim().split(/\s+/);
    if (state !== LISTEN) continue;
    if (!ports.has(Number.parseInt(local.slice(local.indexOf(':') + 1), 16))) continue;
    waiting += Number.parseInt(queues.slice(queues.indexOf(':') + 1), 16) || 0;
  }
  return waiting;
}

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
    (sum, table) => sum + waitingIn(`${root}/proc/self/net/${table}`, ports),
    0,
  );
}

// --- internal ---

/** The kernel gives that much with one read, however much is asked for: some 27 sockets. */
const PAGE_BYTES = 4096;

/** More than 1700 sockets that listen: whoever has so many has other worries than this number. */
const PAGES_MAX = 64;

const LISTEN = '0A';

const page = Buffer.allocUnsafe(PAGE_BYTES);

/** Listening sockets come first in the table, which may go on with 100 000 connections. */
function waitingIn(path: string, ports: ReadonlySet<number>): number {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    // No such table here.
    return 0;
  }
  let waiting = 0;
  let rest = '';
  try {
    for (let pages = 0; pages < PAGES_MAX; pages += 1) {
      const bytes = readSync(file, page, 0, PAGE_BYTES, null);
      if (bytes === 0) break;
      const lines = (rest + page.toString('latin1', 0, bytes)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const socket = parseSocket(line);
        if (socket === null) continue;
        if (socket.state !== LISTEN) return waiting;
        if (ports.has(socket.port)) waiting += socket.waiting;
      }
    }
  } catch {
    // What was read until then is as good as it gets.
  } finally {
    closeSync(file);
  }
  return waiting;
}

/**
 * `0: 0100007F:0BB8 00000000:0000 0A 00000000:00000005 …`: 5 wait at port 3000. Null: the head of
 * the table.
 */
function parseSocket(line: string): { state: string; port: number; waiting: number } | null {
  const [number = '', local = '', , state = '', queues = ''] = line.trim().split(/\s+/);
  if (!number.endsWith(':')) return null;
  return {
    state,
    port: Number.parseInt(local.slice(local.indexOf(':') + 1), 16),
    waiting: Number.parseInt(queues.slice(queues.indexOf(':') + 1), 16) || 0,
  };
}

/**
 * The listening sockets of the pool. The first worker that asks for an address binds it; its handle
 * comes here and is kept for the life of the supervisor, so that the socket (and the connections
 * that wait in its queue) outlives every worker.
 */
import { unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ListenAddress, ListenKey } from '../protocol.ts';
import type { RawHandle } from './worker-process.ts';

export interface Listener {
  readonly key: ListenKey;
  readonly address: ListenAddress;
  readonly scheme: string;
  readonly fd: number;
}

/** A listening socket; Node types none of it. */
export interface ListeningHandle extends RawHandle {
  listen(backlog: number): number;
  onconnection: ((status: number, connection?: RawHandle) => void) | null;
}

export interface Listeners {
  /**
   * Keeps the handle. False when the address is known already: then it is closed, unless we accept
   * there, for that ends only with the handle on which we do, and this one takes its place.
   */
  keep(listener: Omit<Listener, 'fd'>, handle: RawHandle): boolean;
  /** Accepts on every socket until somebody else listens there. The connections are unread. */
  accept(onConnection: (key: ListenKey, connection: RawHandle) => void): void;
  /** Whether we accept anywhere. */
  accepting(): boolean;
  has(key: ListenKey): boolean;
  all(): readonly Listener[];
  /** The TCP ports among them. */
  ports(): ReadonlySet<number>;
  /** Closes every socket; removes the files of unix sockets, which nobody else would. */
  close(): void;
}

export function createListeners(): Listeners {
  const kept = new Map<ListenKey, Kept>();
  return {
    keep(listener, handle) {
      const known = kept.get(listener.key);
      if (known?.accepting === false) {
        handle.close();
        return false;
      }
      known?.handle.close();
      const { fd } = handle;
      kept.set(listener.key, { listener: { ...listener, fd }, handle, accepting: false });
      return known === undefined;
    },
    accept(onConnection) {
      for (const [key, entry] of kept) {
        if (entry.accepting) continue;
        const handle = entry.handle as ListeningHandle;
        handle.onconnection = (status, connection) => {
          if (status === 0 && connection !== undefined) onConnection(key, connection);
        };
        // Refused by the kernel, its clients wait in its queue, and another turn tries again.
        entry.accepting = handle.listen(BACKLOG) === 0;
      }
    },
    accepting: () => [...kept.values()].some(({ accepting }) => accepting),
    has: (key) => kept.has(key),
    ports: () =>
      new Set(
        [...kept.values()].flatMap(({ listener: { address } }) =>
          address.kind === 'tcp' ? [address.port] : [],
        ),
      ),
    all: () => [...kept.values()].map(({ listener }) => listener),
    close() {
      for (const { listener, handle } of kept.values()) {
        handle.close();
        const { address } = listener;
        if (address.kind !== 'unix') continue;
        for (const path of [address.path, spareOf(address.path)]) removeSocketFile(path);
      }
      kept.clear();
    },
  };
}

/** `http://127.0.0.1:3000`, or `unix:/run/app.sock`: what a person can paste. */
export function urlOf(listener: Pick<Listener, 'address' | 'scheme'>): string {
  const { address, scheme } = listener;
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${scheme === 'http2' ? 'https' : scheme}://${host}:${address.port}`;
}

// --- internal ---

interface Kept {
  readonly listener: Listener;
  readonly handle: RawHandle;
  /** We accept on it, as its workers sleep. */
  accepting: boolean;
}

/** What Node asks for; the kernel takes less if it is told to. */
const BACKLOG = 511;

/** The second name that the agent gives a socket (`unix-path.cts`). */
function spareOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.cofferdam`);
}

function removeSocketFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Already gone: somebody removed the file by hand.
  }
}

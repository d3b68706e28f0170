/**
 * The listening sockets of the pool. The first worker that asks for an address binds it; its handle
 * comes here and is kept for the life of the supervisor, so that the socket (and the connections
 * that wait in its queue) outlives every worker.
 */
import { close, unlinkSync } from 'node:fs';
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
  /** Whether a worker has to send copies of what it inherits: we accept, or only have an fd. */
  needsCopies(): boolean;
  has(key: ListenKey): boolean;
  /** Sockets from a service manager for which no worker has found a use. */
  activated(): readonly InheritedSocket[];
  /** A worker took one of them for this address. False when another has done so already. */
  claim(activated: ListenKey, listener: Omit<Listener, 'fd'>): boolean;
  all(): readonly Listener[];
  /** The TCP ports among them. */
  ports(): ReadonlySet<number>;
  /** Closes every socket; removes the files of unix sockets, which nobody else would. */
  close(): void;
}

/** What a worker inherits: a descriptor, and the address it stands for. */
export interface InheritedSocket {
  readonly key: ListenKey;
  readonly fd: number;
}

/** `descriptors`: listening sockets that a service manager opened for us. */
export function createListeners(descriptors: readonly number[] = []): Listeners {
  const kept = new Map<ListenKey, Kept>();
  const activated = new Map(descriptors.map((fd, index) => [`activated#${index + 1}`, fd]));
  return {
    activated: () => [...activated].map(([key, fd]) => ({ key, fd })),
    claim(source, listener) {
      const fd = activated.get(source);
      if (fd === undefined || kept.has(listener.key)) return false;
      activated.delete(source);
      const handle = closableOf(fd);
      kept.set(listener.key, { listener: { ...listener, fd }, handle, accepting: false });
      return true;
    },
    keep(listener, handle) {
      const known = kept.get(listener.key);
      if (known?.accepting === false && isHandle(known.handle)) {
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
        const { handle } = entry;
        if (entry.accepting || !isHandle(handle)) continue;
        handle.onconnection = (status, connection) => {
          if (status === 0 && connection !== undefined) onConnection(key, connection);
        };
        // Refused by the kernel, its clients wait in its queue, and another turn tries again.
        entry.accepting = handle.listen(BACKLOG) === 0;
      }
    },
    needsCopies: () =>
      activated.size > 0 ||
      [...kept.values()].some(({ accepting, handle }) => accepting || !isHandle(handle)),
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
      for (const fd of activated.values()) closableOf(fd).close();
      activated.clear();
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
  readonly handle: Closable;
  /** We accept on it, as its workers sleep. */
  accepting: boolean;
}

/** What Node asks for; the kernel takes less if it is told to. */
const BACKLOG = 511;

type Closable = Pick<RawHandle, 'close'>;

function isHandle(handle: Closable): handle is ListeningHandle {
  return 'listen' in handle;
}

function closableOf(fd: number): Closable {
  return {
    // An error means that nobody listens there any more, which is the aim.
    close: () => close(fd, () => {}),
  };
}

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

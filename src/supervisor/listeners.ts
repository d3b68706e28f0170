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

export interface Listeners {
  /** Keeps the handle. False when the address is known already: the handle is closed then. */
  keep(listener: Omit<Listener, 'fd'>, handle: RawHandle): boolean;
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
  const kept = new Map<ListenKey, { listener: Listener; handle: Closable }>();
  const activated = new Map(descriptors.map((fd, index) => [`activated#${index + 1}`, fd]));
  return {
    activated: () => [...activated].map(([key, fd]) => ({ key, fd })),
    claim(source, listener) {
      const fd = activated.get(source);
      if (fd === undefined || kept.has(listener.key)) return false;
      activated.delete(source);
      kept.set(listener.key, { listener: { ...listener, fd }, handle: closableOf(fd) });
      return true;
    },
    keep(listener, handle) {
      if (kept.has(listener.key)) {
        handle.close();
        return false;
      }
      kept.set(listener.key, { listener: { ...listener, fd: handle.fd }, handle });
      return true;
    },
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

type Closable = Pick<RawHandle, 'close'>;

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

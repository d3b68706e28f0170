/**
 * The listening sockets of the pool. The first worker that asks for an address binds it; its handle
 * comes here and is kept for the life of the supervisor, so that the socket (and the connections
 * that wait in its queue) outlives every worker.
 */
import { close, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { InheritedSocket, ListenAddress, ListenKey } from '../protocol.ts';
import type { RawHandle } from './worker-process.ts';

export interface Listener {
  readonly key: ListenKey;
  readonly address: ListenAddress;
  /** As in its URL. */
  readonly scheme: 'http' | 'https' | 'tcp';
  readonly fd: number;
}

/** Where somebody listens, and how it is spoken to. */
export type Listening = Pick<Listener, 'address' | 'scheme'>;

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
  /** What a worker is born with: all that we keep, and what a service manager opened for us. */
  inherited(): readonly InheritedSocket[];
  /** A worker took one of them for this address. False when another has done so already. */
  claim(activated: ListenKey, listener: Omit<Listener, 'fd'>): boolean;
  all(): readonly Listener[];
  /** Where those among them listen that have a port. */
  addresses(): readonly Extract<ListenAddress, { kind: 'tcp' }>[];
  /** Closes every socket; removes the files of unix sockets, which nobody else would. */
  close(): void;
}

/** A listening socket that a service manager opened for us. */
export type OpenedSocket = Omit<InheritedSocket, 'key'>;

export function createListeners(opened: readonly OpenedSocket[] = []): Listeners {
  const kept = new Map<ListenKey, Kept>();
  const activated = new Map(opened.map((socket, index) => [`activated#${index + 1}`, socket]));
  return {
    inherited: () => [
      ...[...kept.values()].map(({ listener }) => inheritedOf(listener)),
      ...[...activated].map(([key, socket]) => ({ key, ...socket })),
    ],
    claim(source, listener) {
      const fd = activated.get(source)?.fd;
      if (fd === undefined || kept.has(listener.key)) return false;
      activated.delete(source);
      const entry = { listener: { ...listener, fd }, handle: closableOf(fd) };
      kept.set(listener.key, { ...entry, accepting: false, isOurs: false });
      return true;
    },
    keep(listener, handle) {
      const known = kept.get(listener.key);
      if (known?.accepting === false && isHandle(known.handle)) {
        handle.close();
        return false;
      }
      known?.handle.close();
      const entry = { listener: { ...listener, fd: handle.fd }, handle };
      kept.set(listener.key, { ...entry, accepting: false, isOurs: known?.isOurs ?? true });
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
    addresses: () =>
      [...kept.values()].flatMap(({ listener: { address } }) =>
        address.kind === 'tcp' ? [address] : [],
      ),
    all: () => [...kept.values()].map(({ listener }) => listener),
    close() {
      for (const { listener, handle, isOurs } of kept.values()) {
        handle.close();
        const { address } = listener;
        if (address.kind !== 'unix' || !isOurs) continue;
        for (const path of [address.path, spareOf(address.path)]) removeSocketFile(path);
      }
      kept.clear();
      for (const { fd } of activated.values()) closableOf(fd).close();
      activated.clear();
    },
  };
}

/** `http://127.0.0.1:3000`, or `unix:/run/app.sock`: what a person can paste. */
export function urlOf(listener: Listening): string {
  const { address, scheme } = listener;
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${scheme}://${host}:${address.port}`;
}

// --- internal ---

interface Kept {
  readonly listener: Listener;
  readonly handle: Closable;
  /** We accept on it, as its workers sleep. */
  accepting: boolean;
  /** A worker bound it; what a service manager did stays when we go, the file of its path too. */
  readonly isOurs: boolean;
}

/** What Node asks for; the kernel takes less if it is told to. */
const BACKLOG = 511;

type Closable = Pick<RawHandle, 'close'>;

function isHandle(handle: Closable): handle is ListeningHandle {
  return 'listen' in handle;
}

function inheritedOf({ key, fd, address }: Listener): InheritedSocket {
  return address.kind === 'unix' ? { key, fd, path: address.path } : { key, fd };
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

/** Listening sockets that a worker is born with: which stands for an address, and where it is. */
import type { InheritedSocket, ListenKey } from '../../protocol.ts' with {
  'resolution-mode': 'import',
};
import type { AnyServer, RawHandle } from './internals.cts';

/**
 * Service managers open sockets (`activated#1`…) without knowing who asks for which address: who
 * asks for a port gets any of them, who asks for a path only the socket that is there.
 */
export function activatedFor(
  key: ListenKey,
  inherited: ReadonlyMap<ListenKey, InheritedSocket>,
): InheritedSocket | undefined {
  const activated = [...inherited.values()].filter((each) => each.key.startsWith('activated#'));
  if (key.startsWith('unix:')) return activated.find(({ path }) => path === pathIn(key));
  return activated.find(({ path }) => path === undefined) ?? activated[0];
}

/** A unix socket that was inherited does not know its name, and may stand for a port. */
export function remember(key: ListenKey, { path }: InheritedSocket): void {
  if (path !== undefined) paths.set(key, path);
}

/** Where the unix socket is that stands for an address. */
export function pathOf(key: ListenKey): string {
  return paths.get(key) ?? pathIn(key);
}

/**
 * Gives the server the shared socket, but leaves the connections that wait there to the others: a
 * server that has a handle already only asks it to listen.
 */
export function pretendToListen(
  server: AnyServer,
  descriptor: number,
  flags: number | undefined,
): void {
  const net = require('node:net') as unknown as NetInternals;
  const handle = net._createServerHandle(null, null, null, descriptor, flags);
  // An error code: then the usual way meets the same error, and reports it as the app expects.
  if (typeof handle === 'number') return;
  handle.listen = () => 0;
  server._handle = handle;
}

// --- internal ---

const paths = new Map<ListenKey, string>();

function pathIn(key: ListenKey): string {
  return key.slice('unix:'.length, key.lastIndexOf('#'));
}

interface NetInternals {
  _createServerHandle(
    address: null,
    port: null,
    addressType: null,
    fd: number,
    flags: number | undefined,
  ): (RawHandle & { listen: () => number }) | number;
}

/**
 * Listening sockets. The first worker binds what the app asks for and gives the supervisor a copy
 * of the handle; later workers listen on an inherited descriptor instead. The app notices nothing.
 *
 * `tracing:net.server.listen` tells of each listen before it happens. The descriptor is slipped in
 * at `server._listen2`, on that one server and for that one call: writing `options.fd` instead
 * would change an object that belongs to the user, lose its backlog, and `server.address()` of a
 * pipe.
 */
import { subscribe } from 'node:diagnostics_channel';
import type * as Dns from 'node:dns';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type {
  InheritedSocket,
  ListenAddress,
  ListenKey,
  WorkerBrief,
} from '../../protocol.ts' with { 'resolution-mode': 'import' };
import type { AnyServer, Listen2, RawHandle } from './internals.cts';
import { send, sendHandle } from './channel.cts';
import { activatedFor, pathOf, pretendToListen, remember } from './inherited.cts';
import { parkOnClose, unpark } from './park.cts';
import { listenOnPath, PATH, sharePath } from './unix-path.cts';

export type Scheme = 'http' | 'https' | 'http2' | 'tcp';

export interface Listener {
  readonly key: ListenKey;
  readonly server: AnyServer;
  readonly handle: RawHandle;
  readonly scheme: Scheme;
  readonly address: ListenAddress;
}

/** What listens at this moment. */
export const listeners = new Map<ListenKey, Listener>();

/** Servers of the agent itself. */
export const ownServers = new WeakSet<object>();

/** Watches every listen of the app. `listening` is called when a server listens and stays. */
export function watchListen(
  brief: Pick<WorkerBrief, 'listeners' | 'address' | 'accept' | 'lend'>,
  followed: (listener: Listener) => void,
  listening: (listener: Listener) => void,
): void {
  const inherited = new Map(brief.listeners.map((socket) => [socket.key, socket]));
  const accept = brief.accept !== false;
  const moves: Moves = { address: brief.address, key: null, accept };
  subscribe('tracing:net.server.listen:asyncStart', (message) => {
    const { server, options } = message as { server: AnyServer; options: ListenOptions };
    if (ownServers.has(server)) return;
    pending.delete(server);
    const key = describeListen(options);
    if (key !== null) intercept(server, key, inherited, moves);
  });
  subscribe('tracing:net.server.listen:asyncEnd', (message) => {
    const { server } = message as { server: AnyServer };
    const asked = pending.get(server);
    if (asked === undefined || server._handle === null) return;
    const listener = register(server, server._handle, asked);
    if (asked.inherited) {
      parkOnClose(listener.key, listener.handle, () => listeners.delete(listener.key));
    }
    followed(listener);
    // Not before the app's 'listening' callback has run: who only probes for a free port closes the
    // server there, and the port must be free again at once.
    setImmediate(() => {
      if (listener.handle.fd < 0 || listeners.get(listener.key) !== listener) return;
      tell(listener, asked, brief.lend === true);
      for (const client of asked.clients) listener.handle.onconnection?.(0, client);
      listening(listener);
    });
  });
  subscribe('tracing:net.server.listen:error', (message) => {
    const { server, error } = message as { server: AnyServer; error: NodeJS.ErrnoException };
    const asked = pending.get(server);
    if (asked === undefined) return;
    pending.delete(server);
    claims.delete(asked.key);
    const { code = 'UNKNOWN' } = error;
    send({ type: 'listen_failed', key: asked.key, code, message: error.message });
  });
}

// --- internal ---

interface ListenOptions {
  readonly port?: number | string | null;
  readonly host?: string;
  readonly path?: string;
  readonly fd?: number;
  readonly handle?: unknown;
  readonly _handle?: unknown;
}

/** What a server that is about to listen asked for. */
interface Asked {
  readonly key: ListenKey;
  inherited: boolean;
  /** The key of the activated socket that stands in for it. */
  activated: ListenKey | undefined;
  /** Connections that came between a probe and this listen. */
  clients: RawHandle[];
}

interface Moves {
  readonly address: WorkerBrief['address'];
  /** The app's first TCP address, whose listen is moved (again, when the first was a probe). */
  key: ListenKey | null;
  readonly accept: boolean;
}

const pending = new WeakMap<AnyServer, Asked>();
const restore = new WeakMap<AnyServer, () => void>();

/** Who asked for an address last: between that and the socket there may be a look-up of a host. */
const claims = new Map<ListenKey, AnyServer>();

/** The address that was asked for, or null when it is not ours to redirect. */
function describeListen(options: ListenOptions): ListenKey | null {
  if (typeof options.fd === 'number' && options.fd >= 0) return null;
  const { handle = options._handle } = options;
  if (handle !== undefined || '_handle' in options || 'onconnection' in options) return null;
  const { port = null, host = '*', path = '' } = options;
  const isAbstract = path.startsWith('\0');
  const base =
    port === null && path !== ''
      ? `unix:${isAbstract ? path : resolve(path)}`
      : `tcp:${host}:${portNumber(port)}`;
  for (let n = 1; ; n++) if (!isTaken(`${base}#${n}`)) return `${base}#${n}`;
}

function portNumber(port: unknown): number {
  // Where the app gave none, Node has left its callback or nothing.
  return typeof port === 'number' || typeof port === 'string' ? Number(port) : 0;
}

/** Whether a server listens on a key or is about to; one that closed makes room for the next. */
function isTaken(key: ListenKey): boolean {
  const claimant = claims.get(key);
  if (claimant !== undefined && pending.get(claimant)?.key === key) return true;
  const listener = listeners.get(key);
  if (listener === undefined) return false;
  if (listener.handle.fd >= 0) return true;
  listeners.delete(key);
  return false;
}

/** Stands in for the one `_listen2` call of the listen that has just begun. */
function intercept(
  server: AnyServer,
  key: ListenKey,
  inherited: Map<ListenKey, InheritedSocket>,
  moves: Moves,
): void {
  // A listen before this one may have ended (a host name that does not resolve) before it got
  // there.
  restore.get(server)?.();
  const asked: Asked = { key, inherited: false, activated: undefined, clients: [] };
  pending.set(server, asked);
  claims.set(key, server);
  const original = server._listen2;
  const own = Object.hasOwn(server, '_listen2');
  restore.set(server, () => {
    restore.delete(server);
    if (own) server._listen2 = original;
    else Reflect.deleteProperty(server, '_listen2');
  });
  server._listen2 = function listen2(address, port, addressType, backlog, _fd, flags) {
    restore.get(server)?.();
    if (addressType !== PATH) moves.key ??= key;
    const parked = unpark(key);
    const socket = inherited.get(key) ?? activatedFor(key, inherited);
    if (parked !== undefined) {
      asked.inherited = true;
      asked.clients = parked.clients;
      server._handle = parked.handle;
      original.call(server, null, null, null, backlog, undefined, flags);
    } else if (socket !== undefined) {
      inherited.delete(socket.key);
      asked.inherited = true;
      if (socket.key !== key) asked.activated = socket.key;
      remember(key, socket);
      if (!moves.accept) pretendToListen(server, socket.fd, flags);
      original.call(server, null, null, null, backlog, socket.fd, flags);
      if (addressType === PATH) sharePath(server, address ?? '');
    } else if (addressType === PATH) {
      listenOnPath(server, original, address ?? '', backlog, flags);
    } else {
      const move = moves.key === key ? moves.address : null;
      listenOnPort(server, original, move, { address, port, addressType }, backlog, flags);
    }
  };
}

interface Target {
  readonly address: string | null;
  readonly port: number | null;
  readonly addressType: number | null;
}

function listenOnPort(
  server: AnyServer,
  original: Listen2,
  move: WorkerBrief['address'],
  asked: Target,
  backlog: number | undefined,
  flags: number | undefined,
): void {
  const port = move?.port ?? asked.port;
  const host = move?.host ?? null;
  if (host === null) {
    original.call(server, asked.address, port, asked.addressType, backlog, undefined, flags);
  } else if (isIP(host) > 0) {
    original.call(server, host, port, isIP(host), backlog, undefined, flags);
  } else {
    // Required here, for it is rare: each import is memory of the app.
    const { lookup } = require('node:dns') as typeof Dns;
    const { _listeningId: id } = server;
    lookup(host, (error, address, family) => {
      // The app has closed the server meanwhile.
      if (server._listeningId !== id) return;
      if (error !== null) server.emit('error', error);
      else original.call(server, address, port, family, backlog, undefined, flags);
    });
  }
}

function register(server: AnyServer, handle: RawHandle, asked: Asked): Listener {
  const address = addressOf(server, asked.key);
  const listener = { key: asked.key, server, handle, scheme: schemeOf(server), address };
  // A pipe from a descriptor does not know its name.
  if (address.kind === 'unix') server._pipeName ??= address.path;
  listeners.set(asked.key, listener);
  pending.delete(server);
  claims.delete(asked.key);
  return listener;
}

function addressOf(server: AnyServer, key: ListenKey): ListenAddress {
  const address = server.address();
  if (address !== null && typeof address === 'object') {
    return { kind: 'tcp', host: address.address, port: address.port };
  }
  return { kind: 'unix', path: pathOf(key) };
}

function schemeOf(server: AnyServer): Scheme {
  // By their members and not by instanceof: a server that is not used shall not be loaded.
  const has = (name: string) => name in server;
  if (has('updateSettings')) return 'http2';
  if (!has('maxHeadersCount') && !has('httpAllowHalfOpen')) return 'tcp';
  return has('setSecureContext') ? 'https' : 'http';
}

function tell(listener: Listener, { inherited, activated }: Asked, lend: boolean): void {
  const { key, address, scheme, handle } = listener;
  const secure = 'setSecureContext' in listener.server;
  const taken = activated === undefined ? {} : { activated };
  const message = { type: 'listening', key, address, inherited, scheme, secure, ...taken } as const;
  if (inherited && !lend) send(message);
  else sendHandle(message, handle, () => undefined);
}

/**
 * Apps that look for a free port listen on it, close at once, and listen for good. On an inherited
 * descriptor that close would give the socket away, so for one turn of the event loop it is put
 * aside instead. Connections that come meanwhile wait for the real server.
 */
import type { ListenKey } from '../../protocol.ts' with { 'resolution-mode': 'import' };
import { sendHandle } from './channel.cts';
import type { RawHandle } from './internals.cts';

export interface Parked {
  readonly handle: RawHandle;
  /** Connections that came while nobody listened. */
  readonly clients: RawHandle[];
}

/** From now to the end of this turn, closing the handle parks it. */
export function parkOnClose(key: ListenKey, handle: RawHandle, closed: () => void): void {
  handle.close = (done) => {
    Reflect.deleteProperty(handle, 'close');
    park(key, handle);
    closed();
    if (done !== undefined) setImmediate(done);
  };
  setImmediate(() => Reflect.deleteProperty(handle, 'close'));
}

/** A socket that a sibling bound after we were born, for when the app asks for its address. */
export function provide(key: ListenKey, handle: RawHandle): void {
  parked.set(key, { handle, clients: [], timer: undefined });
}

/** The parked handle of an address, which is then the caller's. */
export function unpark(key: ListenKey): Parked | undefined {
  const entry = parked.get(key);
  if (entry === undefined) return undefined;
  parked.delete(key);
  clearTimeout(entry.timer);
  entry.handle.ref();
  return entry;
}

// --- internal ---

/** From the probe to the real listen there is a promise or two, never a second. */
const PARKED_MS = 1000;

const parked = new Map<ListenKey, Parked & { readonly timer: NodeJS.Timeout | undefined }>();

function park(key: ListenKey, handle: RawHandle): void {
  const clients: RawHandle[] = [];
  handle.onconnection = (status, client) => {
    if (status === 0) clients.push(client);
  };
  handle.unref();
  const timer = setTimeout(() => {
    giveUp(key);
  }, PARKED_MS).unref();
  parked.set(key, { handle, clients, timer });
}

/** It was no probe: the app does not want to listen there any more, siblings may. */
function giveUp(key: ListenKey): void {
  const entry = unpark(key);
  if (entry === undefined) return;
  entry.handle.close();
  for (const client of entry.clients) {
    sendHandle({ type: 'connection', key, id: 0, fresh: true }, client, () => {
      client.close();
    });
  }
}

/**
 * Unix sockets of the app: their file must outlive the worker that bound it, and must not be in the
 * way when the supervisor was killed and could not remove it.
 */
import { linkSync, lstatSync, rmSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import type { AnyServer, Listen2 } from './internals.cts';

/** Node's address type of a unix socket. */
export const PATH = -1;

/** Listens on a path that no worker listens on yet. */
export function listenOnPath(
  server: AnyServer,
  original: Listen2,
  path: string,
  backlog: number | undefined,
  flags: number | undefined,
): void {
  const bind = (at: string): void => {
    original.call(server, at, PATH, PATH, backlog, undefined, flags);
  };
  if (!isLeftover(path)) return bindWithSpare(server, bind, path);
  const probe = connect(path);
  probe.once('connect', () => {
    probe.destroy();
    bind(path);
  });
  probe.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') rmSync(path, { force: true });
    bindWithSpare(server, bind, path);
  });
}

/** An app may remove "its stale socket" before it listens: that is the siblings' path. */
export function restorePath(path: string | null): void {
  if (path === null || path.startsWith('\0') || inodeOf(path) !== null) return;
  try {
    linkSync(keptPath(path), path);
  } catch {
    // Another worker was faster, or the spare name is gone.
  }
}

// --- internal ---

/** `sun_path` holds 108 bytes, the last of which is a zero. */
const SOCKET_PATH_BYTES = 107;

/**
 * libuv removes the path that a handle was bound to when that handle closes, which would take the
 * path from all siblings. So bind under another name, and give the socket its real name by a link.
 */
function bindWithSpare(server: AnyServer, bind: (path: string) => void, path: string): void {
  const bound = join(dirname(path), `.cofferdam-${process.pid}`);
  const plain = path.startsWith('\0') || Buffer.byteLength(bound) > SOCKET_PATH_BYTES;
  if (plain || inodeOf(path) !== null || inodeOf(bound) !== null) return bind(path);
  bind(bound);
  if (server._handle === null) return;
  try {
    // One that is left over from a killed Cofferdam leads to a dead socket.
    rmSync(keptPath(path), { force: true });
    linkSync(bound, keptPath(path));
  } catch {
    // Without the spare name only an app that removes the path itself is worse off.
  }
  linkSync(bound, path);
  // Now, not when the handle closes: nobody shall see the name.
  unlinkSync(bound);
}

/** A second name of the socket, from which a removed path can be made again. */
function keptPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.cofferdam`);
}

/** With its spare name beside it, it was made by a Cofferdam: one that runs, or one that was killed. */
function isLeftover(path: string): boolean {
  const inode = path.startsWith('\0') ? null : inodeOf(path);
  return inode !== null && inode === inodeOf(keptPath(path));
}

/** Null when there is no such file. */
function inodeOf(path: string): number | null {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

/**
 * The path of a shared unix socket. libuv removes the path that a handle was bound to when that
 * handle closes, which would take the path from all siblings; many an app removes "its stale
 * socket" before it listens, which is the live one of its siblings; and after a kill -9 of the
 * supervisor the path of a dead socket must not be in the way.
 */
import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs';
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
  if (!isOurs(path)) return bindBeside(server, bind, path);
  const probe = connect(path);
  probe.once('connect', () => {
    probe.destroy();
    bind(path);
  });
  probe.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') rmSync(path, { force: true });
    bindBeside(server, bind, path);
  });
}

/** For a server on an inherited descriptor: path and mode are those of the worker that bound it. */
export function sharePath(server: AnyServer, path: string): void {
  restorePath(path);
  // Node would set the mode by the name that was bound, which is gone.
  if (server._handle !== null) server._handle.fchmod = () => 0;
}

// --- internal ---

/** `sun_path` holds 108 bytes, the last of which is a zero. */
const SOCKET_PATH_BYTES = 107;

/** Binds to another name in the same folder, and gives that socket its real path by a link. */
function bindBeside(server: AnyServer, bind: (path: string) => void, path: string): void {
  const placeholder = findPlaceholder(path);
  bind(placeholder ?? path);
  if (placeholder !== null && server._handle !== null) claimPath(placeholder, path);
}

/**
 * A name to bind to instead of `path`, or null when the plain way is right: the path is taken (and
 * the app shall get its EADDRINUSE), it is abstract, or too long for a name beside it.
 */
function findPlaceholder(path: string): string | null {
  const name = join(dirname(path), `.cof${process.pid.toString(36)}`);
  const fits = Buffer.byteLength(name) <= SOCKET_PATH_BYTES;
  const plain = path.startsWith('\0') || !fits;
  return plain || inodeOf(path) !== null || inodeOf(name) !== null ? null : name;
}

function claimPath(placeholder: string, path: string): void {
  try {
    linkSync(placeholder, path);
  } catch {
    // A file system without hard links; then there is no second name either.
    renameSync(placeholder, path);
    return;
  }
  // One that is left over from a killed Cofferdam leads to a dead socket.
  rmSync(keptPath(path), { force: true });
  linkSync(path, keptPath(path));
  // `readableAll` changes the mode by the bound name, later in this turn.
  setImmediate(() => {
    rmSync(placeholder, { force: true });
  });
}

/** Puts the path back when the app has removed it. */
function restorePath(path: string): void {
  if (path.startsWith('\0') || inodeOf(path) !== null) return;
  try {
    linkSync(keptPath(path), path);
  } catch {
    // Another worker was faster, or the second name is gone: nobody can connect, as in plain Node.
  }
}

/** The second name of a socket, which the supervisor removes together with the path. */
function keptPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.cofferdam`);
}

/** With a second name beside it, it was made by a Cofferdam: one that runs or one that died. */
function isOurs(path: string): boolean {
  const inode = path.startsWith('\0') ? null : inodeOf(path);
  return inode !== null && inode === inodeOf(keptPath(path));
}

/** Null when there is no such file. */
function inodeOf(path: string): number | null {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

/**
 * The path of a shared unix socket. libuv removes the path that a handle was bound to when that handle
 * closes, which would take the path from all siblings; and many an app removes "its stale socket"
 * before it listens, which is the live one of its siblings.
 */
import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * A name to bind to instead of `path`, or null when the plain way is right: the path is taken (and
 * the app shall get its EADDRINUSE), it is abstract, or too long for a name beside it.
 */
export function findPlaceholder(path: string): string | null {
  const name = join(dirname(path), `.cof${process.pid.toString(36)}`);
  const fits = Buffer.byteLength(name) <= SOCKET_PATH_BYTES;
  return path.startsWith('\0') || !fits || exists(path) || exists(name) ? null : name;
}

/** Gives the socket that is bound to the placeholder its real path. */
export function claimPath(placeholder: string, path: string): void {
  try {
    linkSync(placeholder, path);
  } catch {
    // A file system without hard links; then there is no second name either.
    renameSync(placeholder, path);
    return;
  }
  rmSync(keptPath(path), { force: true });
  linkSync(path, keptPath(path));
  // `readableAll` changes the mode by the bound name, later in this turn.
  setImmediate(() => {
    rmSync(placeholder, { force: true });
  });
}

/** Puts the path back when the app has removed it. */
export function restorePath(path: string): void {
  if (path.startsWith('\0') || exists(path)) return;
  try {
    linkSync(keptPath(path), path);
  } catch {
    // Another worker was faster, or the second name is gone: nobody can connect, as in plain Node.
  }
}

// --- internal ---

/** `sun_path` holds 108 bytes, the last of which is a zero. */
const SOCKET_PATH_BYTES = 107;

/** The second name of a socket, which the supervisor removes together with the path. */
function keptPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.cofferdam`);
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Where the control socket of an instance is. */
import { accessSync, chmodSync, constants, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CofferdamError } from '../errors.ts';

/** The socket that a new instance of this name opens: the first place that can be used. */
export function controlSocketPath(name: string, env: NodeJS.ProcessEnv): string {
  const [first] = controlSocketPaths(name, env);
  if (first === undefined) throw new CofferdamError('COF_INTERNAL', 'no place for a socket');
  if (Buffer.byteLength(first) > SOCKET_PATH_BYTES_MAX) {
    throw new CofferdamError(
      'COF_BAD_VALUE',
      `the path of the control socket is too long: ${first}`,
      {
        hint: 'Set XDG_RUNTIME_DIR (or TMPDIR) to a shorter folder.',
      },
    );
  }
  return first;
}

/**
 * All sockets where an instance of this name may be, the likeliest first: a service and the shell
 * that asks for it often disagree about XDG_RUNTIME_DIR.
 */
export function controlSocketPaths(name: string, env: NodeJS.ProcessEnv): readonly string[] {
  const folders: string[] = [];
  const runtime = env['XDG_RUNTIME_DIR'];
  if (runtime !== undefined && runtime !== '' && isWritable(runtime)) {
    folders.push(join(runtime, 'cofferdam'));
  }
  const uid = process.getuid?.() ?? 0;
  if (uid === 0 && isWritable('/run')) folders.push('/run/cofferdam');
  folders.push(join(env['TMPDIR'] || tmpdir(), `cofferdam-${uid}`));
  return folders.map((folder) => join(folder, `${name}.sock`));
}

/** The private folder for the sockets of this instance's workers, beside its control socket. */
export function workerFolderPath(name: string, env: NodeJS.ProcessEnv): string {
  return join(dirname(controlSocketPath(name, env)), `${name}.workers`);
}

/**
 * Makes the folder of `socketPath`, for its owner only. Throws COF_CONFIG_UNREADABLE when somebody
 * else made it first: in a shared /tmp that would hand our socket to a stranger.
 */
export function ensureSocketFolder(socketPath: string): void {
  const folder = dirname(socketPath);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stats = lstatSync(folder);
  const uid = process.getuid?.() ?? stats.uid;
  if (!stats.isDirectory() || stats.uid !== uid) {
    throw new CofferdamError('COF_CONFIG_UNREADABLE', `${folder} belongs to somebody else`, {
      hint: 'Set XDG_RUNTIME_DIR to a folder of your own.',
    });
  }
  if ((stats.mode & 0o077) !== 0) chmodSync(folder, 0o700);
}

// --- internal ---

/** `sun_path` holds 104 bytes on macOS and 108 on Linux, with its closing zero. */
const SOCKET_PATH_BYTES_MAX = 103;

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    // Not there, or not ours: the next place will do.
    return false;
  }
}

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
  const refuse = (why: string): never => {
    throw new CofferdamError('COF_CONFIG_UNREADABLE', `${folder} ${why}`, {
      hint: 'Set XDG_RUNTIME_DIR to a folder of your own, in which files can be made.',
    });
  };
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const what = lstatSync(folder, { throwIfNoEntry: false });
    if (what !== undefined && !what.isDirectory()) return refuse('is no folder');
    return refuse(`cannot be made for the control socket: ${(error as Error).message}`);
  }
  const problem = folderProblem(folder);
  if (problem !== null) return refuse(problem);
  if ((lstatSync(folder).mode & 0o077) !== 0) chmodSync(folder, 0o700);
}

/**
 * Whether what answers at `socketPath` can only be our own: the same check for those who ask, or a
 * stranger in a shared /tmp could answer them. Null where it is, or where nothing is.
 */
export function strangerAt(socketPath: string): string | null {
  const folder = dirname(socketPath);
  const problem = folderProblem(folder);
  return problem === null ? null : `${folder} ${problem}`;
}

// --- internal ---

function folderProblem(folder: string): string | null {
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  if (stats === undefined) return null;
  if (!stats.isDirectory()) return 'is no folder';
  const uid = process.getuid?.() ?? stats.uid;
  return stats.uid === uid ? null : 'belongs to somebody else';
}

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

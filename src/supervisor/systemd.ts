/**
 * Speaks with systemd: state to the notify socket, listening sockets from socket activation.
 *
 * Node cannot open a unix datagram socket, so each message is one short-lived `systemd-notify`; the
 * unit therefore needs `NotifyAccess=all`. Nothing waits for it: a service manager that does not
 * answer must not keep an app from starting.
 */
import { execFile } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import { endianness } from 'node:os';
import { join } from 'node:path';
import type { Root } from '../metrics/process-memory.ts';
import type { ListenAddress } from '../protocol.ts';
import type { OpenedSocket } from './listeners.ts';

/**
 * What systemd gives to the supervisor alone: a worker that sees them would speak for all of us.
 */
export const SYSTEMD_VARIABLES = [
  'NOTIFY_SOCKET',
  'LISTEN_PID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
  'WATCHDOG_PID',
  'WATCHDOG_USEC',
] as const;

export interface Notifier {
  /** The service is up. */
  ready(): void;
  /** A reload begins; `through` settles at its end, and then the service is up again. */
  reloading(through: Promise<unknown>): void;
  /** The last word but for the status. */
  stopping(): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
}

export interface NotifierOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Called once, with a sentence, when systemd cannot be told. */
  readonly onFailure?: (detail: string) => void;
  readonly command?: string;
}

/** Tells nobody and costs nothing when `NOTIFY_SOCKET` is not set. */
export function createNotifier({
  env = process.env,
  onFailure,
  command = 'systemd-notify',
}: NotifierOptions = {}): Notifier {
  const waiting: string[] = [];
  let busy = false;
  let off = !env['NOTIFY_SOCKET'];
  let reloads = 0;
  let isStopping = false;

  function tell(message: string): void {
    if (off) return;
    // Only the newest status is worth a process; the bound holds when systemd does not answer.
    const last = waiting.at(-1);
    if (last?.startsWith('STATUS=') && message.startsWith('STATUS=')) waiting.pop();
    if (waiting.length < WAITING_MAX) waiting.push(message);
    if (!busy) sendNext();
  }

  function sendNext(): void {
    const message = waiting.shift();
    if (message === undefined || off) return;
    busy = true;
    const child = execFile(
      command,
      [`--pid=${process.pid}`, message],
      { env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' },
      (error) => {
        busy = false;
        if (error) giveUp(error.message);
        sendNext();
      },
    );
    // Neither the process nor its pipes may keep a finished supervisor alive.
    child.unref();
    for (const pipe of [child.stdout, child.stderr]) if (pipe instanceof Socket) pipe.unref();
  }

  function giveUp(why: string): void {
    if (off) return;
    off = true;
    onFailure?.(`Cannot tell systemd our state (${command}: ${why.trim()}).`);
  }

  /** Whoever stops is not up again when its last reload comes to an end. */
  function ready(): void {
    if (reloads === 0 && !isStopping) tell('READY=1');
  }

  return {
    ready,
    reloading(through) {
      reloads += 1;
      tell('RELOADING=1');
      const ended = (): void => {
        reloads -= 1;
        ready();
      };
      through.then(ended, ended);
    },
    stopping() {
      isStopping = true;
      tell('STOPPING=1');
    },
    status: (text) => tell(`STATUS=${text.replaceAll(/\s+/g, ' ').slice(0, STATUS_LENGTH_MAX)}`),
  };
}

export interface ActivatedSocket {
  readonly fd: number;
  /** `FileDescriptorName=` of the socket unit. */
  readonly name: string;
  /** Where it listens; null when the system does not tell. */
  readonly address: ListenAddress | null;
}

/** The listening sockets that systemd opened for us; empty when they are not for this process. */
export function readActivatedSockets({
  env = process.env,
  pid = process.pid,
  root = '/',
}: { readonly env?: NodeJS.ProcessEnv; readonly pid?: number } & Root = {}): ActivatedSocket[] {
  if (Number(env['LISTEN_PID']) !== pid) return [];
  const count = Number(env['LISTEN_FDS']);
  if (!Number.isInteger(count) || count < 1) return [];
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
  return Array.from({ length: Math.min(count, SOCKETS_MAX) }, (_, index) => ({
    fd: FIRST_FD + index,
    name: names[index] || 'unknown',
    address: addressOf(FIRST_FD + index, root),
  }));
}

/** The sockets for one pool: those that bear its name, or all where it is the only one. */
export function activatedFor(
  sockets: readonly ActivatedSocket[],
  pool: string,
  isOnly: boolean,
): readonly OpenedSocket[] {
  return sockets.flatMap(({ fd, name, address }) => {
    if (address === null || !(isOnly || name === pool)) return [];
    return [address.kind === 'unix' ? { fd, path: address.path } : { fd }];
  });
}

// --- internal ---

/** SD_LISTEN_FDS_START of sd-daemon(3). */
const FIRST_FD = 3;

/** More than any unit has; a wrong number in the environment must not cost a million reads. */
const SOCKETS_MAX = 64;

/** READY, a few states and one status: more can only wait when systemd hangs. */
const WAITING_MAX = 8;

/** systemd-notify itself waits up to 5 s until its message was received. */
const TIMEOUT_MS = 10_000;

const STATUS_LENGTH_MAX = 200;

/** TCP_LISTEN in /proc/net/tcp. */
const LISTENING = '0A';

/** __SO_ACCEPTCON and SOCK_STREAM in /proc/net/unix. */
const ACCEPTS = '00010000';
const STREAM = '0001';

/** Without an accept and without opening the descriptor: the kernel's tables name it by inode. */
function addressOf(fd: number, root: string): ListenAddress | null {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(join(root, `proc/self/fd/${fd}`)))?.[1];
    if (inode === undefined) return null;
    return (
      tcpAddress(inode, 'tcp', root) ?? tcpAddress(inode, 'tcp6', root) ?? unixAddress(inode, root)
    );
  } catch {
    // No /proc: the caller has to do with the descriptor alone.
    return null;
  }
}

function tcpAddress(inode: string, table: 'tcp' | 'tcp6', root: string): ListenAddress | null {
  for (const line of readTable(table, root)) {
    const fields = line.trim().split(/\s+/);
    if (fields[9] !== inode || fields[3] !== LISTENING) continue;
    const [address = '', port = ''] = fields[1]?.split(':') ?? [];
    return { kind: 'tcp', host: hostOf(address), port: Number.parseInt(port, 16) };
  }
  return null;
}

function unixAddress(inode: string, root: string): ListenAddress | null {
  for (const line of readTable('unix', root)) {
    const fields = line.trim().split(/\s+/);
    const path = fields.slice(7).join(' ');
    const listens = fields[3] === ACCEPTS && fields[4] === STREAM;
    if (fields[6] === inode && listens && path !== '') return { kind: 'unix', path };
  }
  return null;
}

function readTable(table: string, root: string): string[] {
  try {
    return readFileSync(join(root, 'proc/self/net', table), 'utf8')
      .split('\n')
      .slice(1);
  } catch {
    // A kernel without IPv6 has no tcp6.
    return [];
  }
}

/** The kernel prints addresses as 32-bit words in its own byte order. */
function hostOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (endianness() === 'LE') bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    bytes.readUInt16BE(index * 2).toString(16),
  );
  // The URL parser knows the canonical short form (RFC 5952).
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/**
 * A worker behind the gateway: a process that serves on a socket or port of its own. It knows
 * nothing of us; what it would say of itself the gateway says.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { UpstreamAddress } from '../data/gateway/types.ts';
import { forwardStderr, listenToExit, signalProcess } from './child.ts';
import type { Birth } from './fleet.ts';
import type { PoolOrder } from './gateway-books.ts';
import type { GatewayLink, Upstream } from './gateway-link.ts';
import { createTail } from './tail.ts';
import type { WorkerListener, WorkerProcess } from './worker-process.ts';

export interface UpstreamSpawn {
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly address: UpstreamAddress;
  readonly order: PoolOrder;
  /** Where its stderr goes on to. */
  readonly stderr: Writable;
}

export function spawnUpstream(
  options: UpstreamSpawn,
  { slot, requestLimit: noticeAt }: Pick<Birth, 'slot' | 'requestLimit'>,
  link: GatewayLink,
  listener: WorkerListener,
): WorkerProcess {
  const stderrTail = createTail();
  let child: ChildProcess;
  try {
    child = spawn(options.file, options.args, {
      cwd: options.cwd,
      env: options.env,
      // A process group of its own: Ctrl-C in a terminal must reach the supervisor only.
      detached: true,
      stdio: ['ignore', 'inherit', 'pipe'],
    });
  } catch (error) {
    setImmediate(() => listener.onExit({ code: null, signal: null, spawnError: error as Error }));
    return { pid: undefined, stderrTail, send: ignore, post: ignore, signal: ignore };
  }
  forwardStderr(child, stderrTail, options.stderr);
  const { address, order } = options;
  let upstream: Upstream | null = null;
  listenToExit(child, (exit) => {
    upstream?.remove();
    if (address.kind === 'unix') rmSync(address.path, { force: true });
    listener.onExit(exit);
  });
  if (child.pid !== undefined) {
    upstream = link.add({ slot, address, ...order, noticeAt }, (said) =>
      listener.onMessage(said, undefined),
    );
  }
  return {
    pid: child.pid,
    stderrTail,
    send: (message) => upstream?.send(message),
    post: ignore,
    signal: (signal) => signalProcess(child, signal),
  };
}

// --- internal ---

function ignore(): void {}

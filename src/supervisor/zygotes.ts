/**
 * The php-cgi parents of a pool (layout `zygote`), one for each configuration that has workers: it
 * is started with the first of them, and ends a while after the last. One that dies takes all of
 * its children along, and the next worker gets a new one.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { PID_SCRIPT, type PhpCgiCommand } from '../data/gateway/fastcgi/php-cgi.ts';
import {
  readChildMemory,
  readParentMemory,
  readWorkerMemory,
  type WorkerMemory,
} from '../metrics/process-memory.ts';
import { forwardStderr, listenToExit, signalProcess, type ProcessExit } from './child.ts';
import type { Sampled } from './sampler.ts';
import { socketIn } from './socket-name.ts';
import { createTail, type Tail } from './tail.ts';

/** A worker, as far as its parent is concerned. */
export interface Tenant {
  /** Undefined until it is known. */
  readonly pid: number | undefined;
  onParentExit(exit: ProcessExit): void;
}

export interface Parent {
  readonly socketPath: string;
  readonly pidScript: string;
  readonly stderrTail: Tail;
  /** How it has ended; null while it lives. */
  end(): Pick<ProcessExit, 'code' | 'signal'> | null;
}

/** The parent of one configuration, whether it lives at this moment or not. */
export interface Zygote {
  enter(tenant: Tenant): Parent;
  leave(tenant: Tenant): void;
}

/** How a parent is started that listens there. */
export type ZygoteCommand = (socketPath: string, pidScript: string) => PhpCgiCommand;

export interface Zygotes {
  create(command: ZygoteCommand): Zygote;
  /** What counts as the memory of a worker: of a child only what is its own. */
  readMemory(pid: number): WorkerMemory | null;
  /** The parents, for the sampler. */
  sampled(): readonly Sampled[];
  /** What the parents need, with all that their children share: counted once. */
  bytes(): number;
  /** Resolves when no parent is left, which it sees to. To be called when no worker is. */
  end(): Promise<void>;
  /** At once. */
  close(): void;
}

export interface ZygotesOptions {
  /** Private folder for their sockets. */
  readonly folder: string;
  readonly stderr: Writable;
  /** A parent leads a process group, with its children in it. */
  readonly onPid: (pid: number, alive: boolean) => void;
}

export function createZygotes(options: ZygotesOptions): Zygotes {
  const nests = new Set<Nest>();
  const childPids = (): Set<number> => new Set([...nests].flatMap(pidsOf));
  return {
    create(command) {
      let current: Nest | null = null;
      const homes = new Map<Tenant, Nest>();
      return {
        enter(tenant) {
          // Its end may be known a moment before it is through with it.
          const isThere = current?.isEnding === false && current.parent.end() === null;
          if (current === null || !isThere) current = openNest(command, nests, options);
          clearTimeout(current.linger);
          current.tenants.add(tenant);
          homes.set(tenant, current);
          return current.parent;
        },
        leave(tenant) {
          const nest = homes.get(tenant);
          homes.delete(tenant);
          if (nest?.tenants.delete(tenant) !== true || nest.tenants.size > 0) return;
          if (!nest.isEnding) nest.linger = setTimeout(() => endNest(nest), LINGER_MS);
        },
      };
    },
    readMemory: (pid) => (childPids().has(pid) ? readChildMemory(pid) : readWorkerMemory(pid)),
    sampled: () =>
      [...nests].flatMap((nest): Sampled[] => {
        const pid = nest.child?.pid;
        if (pid === undefined) return [];
        const read = (): WorkerMemory | null => readParentMemory(pid, pidsOf(nest));
        return [{ pid, read, took: ({ anonBytes }) => void (nest.bytes = anonBytes) }];
      }),
    bytes: () => [...nests].reduce((sum, { bytes }) => sum + bytes, 0),
    async end() {
      for (const nest of nests) endNest(nest);
      await Promise.all([...nests].map(({ over }) => over));
    },
    close() {
      for (const { child, linger, killer } of nests) {
        clearTimeout(linger);
        clearTimeout(killer);
        if (child !== null) signalProcess(child, 'SIGKILL');
      }
    },
  };
}

// --- internal ---

/** The next worker may come soon: of a single slot, broken first, or of a pool just asleep. */
const LINGER_MS = 10_000;

/** An idle php-cgi is gone 6 ms after its TERM. */
const KILL_MS = 2_000;

/** A parent that was started. */
interface Nest {
  readonly parent: Parent;
  /** Null when it could not be started at all. */
  readonly child: ChildProcess | null;
  readonly tenants: Set<Tenant>;
  /** Resolves when it is gone. */
  readonly over: Promise<void>;
  /** No more workers for it: it was told to end, or has ended. */
  isEnding: boolean;
  linger: NodeJS.Timeout | undefined;
  killer: NodeJS.Timeout | undefined;
  /** Its memory when it was read last. */
  bytes: number;
}

function openNest(command: ZygoteCommand, nests: Set<Nest>, options: ZygotesOptions): Nest {
  const { folder, stderr, onPid } = options;
  const socketPath = socketIn(folder);
  const pidScript = join(folder, 'pid.php');
  writeFileSync(pidScript, PID_SCRIPT);
  const stderrTail = createTail();
  const tenants = new Set<Tenant>();
  let finish = (): void => {};
  const over = new Promise<void>((resolve) => (finish = resolve));

  const ended = (exit: ProcessExit): void => {
    nest.isEnding = true;
    clearTimeout(nest.linger);
    clearTimeout(nest.killer);
    nests.delete(nest);
    rmSync(socketPath, { force: true });
    if (child?.pid !== undefined) onPid(child.pid, false);
    for (const tenant of tenants) tenant.onParentExit(exit);
    finish();
  };
  const child = spawnParent(command(socketPath, pidScript), ended);
  const parent: Parent = {
    socketPath,
    pidScript,
    stderrTail,
    end: () =>
      child === null || (child.exitCode === null && child.signalCode === null)
        ? null
        : { code: child.exitCode, signal: child.signalCode },
  };
  const nest: Nest = {
    parent,
    child,
    tenants,
    over,
    isEnding: false,
    linger: undefined,
    killer: undefined,
    bytes: 0,
  };
  nests.add(nest);
  if (child !== null) {
    forwardStderr(child, stderrTail, stderr);
    listenToExit(child, ended);
    if (child.pid !== undefined) onPid(child.pid, true);
  }
  return nest;
}

function spawnParent(
  { file, args, env }: PhpCgiCommand,
  ended: (exit: ProcessExit) => void,
): ChildProcess | null {
  try {
    return spawn(file, args, { env, detached: true, stdio: ['ignore', 'inherit', 'pipe'] });
  } catch (error) {
    // Node throws what the kernel thinks of the arguments (E2BIG) instead of telling it later.
    setImmediate(() => ended({ code: null, signal: null, spawnError: error as Error }));
    return null;
  }
}

/** It takes its children along, and whoever still runs then is killed by its exit. */
function endNest(nest: Nest): void {
  const { child } = nest;
  if (nest.isEnding || child === null) return;
  nest.isEnding = true;
  clearTimeout(nest.linger);
  signalProcess(child, 'SIGTERM');
  nest.killer = setTimeout(() => signalProcess(child, 'SIGKILL'), KILL_MS);
}

function pidsOf({ tenants }: Nest): readonly number[] {
  return [...tenants].flatMap(({ pid }) => pid ?? []);
}

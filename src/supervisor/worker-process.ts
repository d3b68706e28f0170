/**
 * One worker process as its parent sees it: spawn, messages, signals, what it said last. It decides
 * nothing.
 */
import { spawn, type ChildProcess, type SendHandle } from 'node:child_process';
import type { EventEmitter } from 'node:events';
import type { Writable } from 'node:stream';
import {
  BRIEF_VARIABLE,
  MESSAGE_COMMAND,
  type Envelope,
  type InheritedSocket,
  type SupervisorMessage,
  type WorkerBrief,
  type WorkerMessage,
} from '../protocol.ts';
import { guardChannel } from './channel.ts';
import { forwardStderr, listenToExit, signalProcess, type ProcessExit } from './child.ts';
import { createTail, type Tail } from './tail.ts';
import { isOurs, readWorkerMessage } from './worker-messages.ts';

/** A raw libuv handle as it travels over IPC: a listening socket or a client connection. */
export interface RawHandle {
  readonly fd: number;
  close(): void;
}

export interface WorkerSpawn {
  /** Absolute path of the app's entry file. */
  readonly app: string;
  readonly args: readonly string[];
  readonly nodeArgs: readonly string[];
  /** The whole environment of the worker, {@link BRIEF_VARIABLE} excluded. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly brief: Omit<WorkerBrief, 'listeners'>;
  readonly listeners: readonly InheritedSocket[];
  /** Absolute path of the built agent. */
  readonly agent: string;
  /** Where the worker's stderr goes on to. */
  readonly stderr: Writable;
}

export interface WorkerListener {
  /** The pid of one that had none when it was started. */
  onPid?(pid: number): void;
  onMessage(message: WorkerMessage, handle: RawHandle | undefined): void;
  /**
   * What came over the channel is no message of an agent. `ended`: nothing can be read after it,
   * and the process is killed for it.
   */
  onBadMessage(problem: { readonly detail: string; readonly ended: boolean }): void;
  /** What the app itself sends with `process.send`; nobody listens to a user's app. */
  onAppMessage?(message: unknown): void;
  /** The channel is closed although the process lives: the app called `process.disconnect()`. */
  onDisconnect(): void;
  /** Once, when the process is gone and its last words were read. */
  onExit(exit: ProcessExit): void;
}

export interface WorkerProcess {
  /**
   * Undefined when the process could not be spawned (`onExit` follows), and as long as it is not
   * known which one it is (`onPid` follows).
   */
  readonly pid: number | undefined;
  readonly stderrTail: Tail;
  send(message: SupervisorMessage, handle?: RawHandle): void;
  /** To the app itself, as `process.on('message')` hears it. */
  post(message: object): void;
  /** TERM goes to the worker alone; KILL to its whole process group. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/** The stdio slots: 0 stdin, 1 stdout, 2 stderr, 3 the IPC channel, then the listening sockets. */
const FIRST_LISTENER_FD = 4;

/** The channel of a process that dies closes a moment before we hear of its death. */
const DISCONNECT_GRACE_MS = 250;

export function spawnWorker(options: WorkerSpawn, listener: WorkerListener): WorkerProcess {
  const brief: WorkerBrief = {
    ...options.brief,
    parentPid: process.pid,
    listeners: options.listeners.map((each, index) => ({ ...each, fd: FIRST_LISTENER_FD + index })),
  };
  const stderrTail = createTail();
  let child: ChildProcess;
  try {
    child = startProcess(options, brief);
  } catch (error) {
    // Node throws what the kernel thinks of the arguments (E2BIG) instead of telling it later.
    setImmediate(() => listener.onExit({ code: null, signal: null, spawnError: error as Error }));
    return { pid: undefined, stderrTail, send: ignore, post: ignore, signal: ignore };
  }
  forwardStderr(child, stderrTail, options.stderr);
  listenToMessages(child, listener);
  listenToDisconnect(child, listener);
  listenToExit(child, (exit) => listener.onExit(exit));
  return {
    pid: child.pid,
    stderrTail,
    send: (message, handle) => send(child, message, handle),
    post(message) {
      if (child.connected) child.send(message, ignore);
    },
    signal: (signal) => signalProcess(child, signal),
  };
}

// --- internal ---

function startProcess(options: WorkerSpawn, brief: WorkerBrief): ChildProcess {
  return spawn(
    process.execPath,
    [...options.nodeArgs, '--require', options.agent, options.app, ...options.args],
    {
      cwd: options.cwd,
      env: { ...options.env, [BRIEF_VARIABLE]: JSON.stringify(brief) },
      // A process group of its own: Ctrl-C in a terminal must reach the supervisor only.
      detached: true,
      stdio: ['ignore', 'inherit', 'pipe', 'ipc', ...options.listeners.map(({ fd }) => fd)],
    },
  );
}

function send(child: ChildProcess, message: SupervisorMessage, handle?: RawHandle): void {
  if (!child.connected) return;
  const envelope: Envelope<SupervisorMessage> = { ...message, cmd: MESSAGE_COMMAND };
  // A worker that just died raises EPIPE here; its exit is the event that counts.
  child.send(envelope, handle as unknown as SendHandle | undefined, ignore);
}

function ignore(): void {}

function listenToMessages(child: ChildProcess, listener: WorkerListener): void {
  const broken = (detail: string): void => {
    listener.onBadMessage({ detail, ended: true });
    signalProcess(child, 'SIGKILL');
  };
  guardChannel(child, broken);
  // `internalMessage` is where Node delivers `cmd: NODE_*`; it is missing in the types.
  (child as EventEmitter).on(
    'internalMessage',
    (envelope: unknown, handle: RawHandle | undefined) => {
      if (!isOurs(envelope)) return;
      const message = readWorkerMessage(envelope);
      if (message === null) {
        handle?.close();
        const detail = 'a message that no agent sends';
        return listener.onBadMessage({ detail, ended: false });
      }
      try {
        listener.onMessage(message, handle);
      } catch (error) {
        // Checked as it was, it could not be dealt with: a handle of another kind, for one.
        broken(`a message that cannot be dealt with: ${(error as Error).message}`);
      }
    },
  );
  // Always: Node keeps every message for which there is no listener.
  child.on('message', (message) => {
    try {
      listener.onAppMessage?.(message);
    } catch (error) {
      broken(`a message that cannot be dealt with: ${(error as Error).message}`);
    }
  });
}

function listenToDisconnect(child: ChildProcess, listener: WorkerListener): void {
  const check = (): void => {
    if (child.exitCode === null && child.signalCode === null) listener.onDisconnect();
  };
  // After the timer one look at what came in meanwhile: we may have been the ones who were late.
  child.once('disconnect', () => {
    setTimeout(() => setImmediate(check), DISCONNECT_GRACE_MS).unref();
  });
}

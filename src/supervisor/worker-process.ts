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
  type SupervisorMessage,
  type WorkerBrief,
  type WorkerMessage,
} from '../protocol.ts';
import { createTail, type Tail } from './tail.ts';

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
  readonly listeners: readonly { readonly key: string; readonly fd: number }[];
  /** Absolute path of the built agent. */
  readonly agent: string;
  /** Where the worker's stderr goes on to. */
  readonly stderr: Writable;
}

export interface WorkerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set when the process could not be started at all. */
  readonly spawnError: Error | null;
}

export interface WorkerListener {
  onMessage(message: WorkerMessage, handle: RawHandle | undefined): void;
  /** The channel is closed although the process lives: the app called `process.disconnect()`. */
  onDisconnect(): void;
  /** Once, when the process is gone and its last words were read. */
  onExit(exit: WorkerExit): void;
}

export interface WorkerProcess {
  /** Undefined when the process could not be spawned; `onExit` follows. */
  readonly pid: number | undefined;
  readonly stderrTail: Tail;
  send(message: SupervisorMessage, handle?: RawHandle): void;
  /** TERM goes to the worker alone; KILL to its whole process group. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/** The stdio slots: 0 stdin, 1 stdout, 2 stderr, 3 the IPC channel, then the listening sockets. */
const FIRST_LISTENER_FD = 4;

/**
 * How long after the exit we still wait for the end of stderr: a grandchild that inherited the pipe
 * may hold it open for ever, and the pool must not wait for it.
 */
const LAST_WORDS_MS = 150;

/** The channel of a process that dies closes a moment before we hear of its death. */
const DISCONNECT_GRACE_MS = 250;

export function spawnWorker(options: WorkerSpawn, listener: WorkerListener): WorkerProcess {
  const brief: WorkerBrief = {
    ...options.brief,
    listeners: options.listeners.map(({ key }, index) => ({ key, fd: FIRST_LISTENER_FD + index })),
  };
  const stderrTail = createTail();
  let child: ChildProcess;
  try {
    child = startProcess(options, brief);
  } catch (error) {
    // Node throws what the kernel thinks of the arguments (E2BIG) instead of telling it later.
    setImmediate(() => listener.onExit({ code: null, signal: null, spawnError: error as Error }));
    return { pid: undefined, stderrTail, send: ignore, signal: ignore };
  }
  forwardStderr(child, stderrTail, options.stderr);
  listenToMessages(child, listener);
  listenToDisconnect(child, listener);
  listenToExit(child, listener);
  return {
    pid: child.pid,
    stderrTail,
    send: (message, handle) => send(child, message, handle),
    signal: (signal) => signalWorker(child, signal),
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

function signalWorker(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (child.pid === undefined) return;
  if (signal === 'SIGTERM') {
    child.kill(signal);
    return;
  }
  killGroup(child.pid);
}

/** What the app left running in its process group dies with it: nobody else would end it. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: nothing left in the group, which is the aim.
  }
}

function forwardStderr(child: ChildProcess, tail: Tail, target: Writable): void {
  child.stderr?.on('data', (chunk: Buffer) => {
    tail.push(chunk);
    // A slow terminal slows its writers, as it would without us; nothing is buffered here.
    if (!target.write(chunk)) {
      child.stderr?.pause();
      target.once('drain', () => child.stderr?.resume());
    }
  });
}

function listenToMessages(child: ChildProcess, listener: WorkerListener): void {
  // `internalMessage` is where Node delivers `cmd: NODE_*`; it is missing in the types.
  (child as EventEmitter).on(
    'internalMessage',
    (envelope: Envelope<WorkerMessage>, handle: RawHandle | undefined) => {
      if (envelope.cmd === MESSAGE_COMMAND) listener.onMessage(envelope, handle);
    },
  );
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

function listenToExit(child: ChildProcess, listener: WorkerListener): void {
  let told = false;
  const tell = (exit: WorkerExit): void => {
    if (told) return;
    told = true;
    listener.onExit(exit);
  };
  child.on('error', (error) => {
    if (child.pid === undefined) tell({ code: null, signal: null, spawnError: error });
  });
  child.on('exit', (code, signal) => {
    if (child.pid !== undefined) killGroup(child.pid);
    const exit = { code, signal, spawnError: null };
    const timer = setTimeout(() => {
      child.stderr?.destroy();
      tell(exit);
    }, LAST_WORDS_MS);
    child.once('close', () => {
      clearTimeout(timer);
      tell(exit);
    });
  });
}

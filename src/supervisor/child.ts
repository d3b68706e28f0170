/** Any process that serves: in a group of its own, its last words kept, its end told once. */
import type { ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';
import { writeTo } from './output.ts';
import type { Tail } from './tail.ts';

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set when the process could not be started at all. */
  readonly spawnError: Error | null;
  /** How it ended, where code and signal do not tell. */
  readonly detail?: string;
}

/** TERM goes to the process alone; KILL to its whole group. */
export function signalProcess(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (child.pid === undefined) return;
  if (signal === 'SIGTERM') {
    child.kill(signal);
    return;
  }
  killGroup(child.pid);
}

/** What it says on stderr goes on to `target`; the end of it stays in `tail`. */
export function forwardStderr(child: ChildProcess, tail: Tail, target: Writable): void {
  child.stderr?.on('data', (chunk: Buffer) => {
    tail.push(chunk);
    // A slow terminal slows its writers, as it would without us; nothing is buffered here.
    if (!writeTo(target, chunk)) {
      child.stderr?.pause();
      target.once('drain', () => child.stderr?.resume());
    }
  });
}

/** Once, when the process is gone and its last words were read. */
export function listenToExit(child: ChildProcess, onExit: (exit: ProcessExit) => void): void {
  let told = false;
  const tell = (exit: ProcessExit): void => {
    if (told) return;
    told = true;
    // A grandchild that inherited the channel would hold us here as long as it lives.
    if (child.connected) child.disconnect();
    onExit(exit);
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

// --- internal ---

/**
 * How long after the exit we still wait for the end of stderr: a grandchild that inherited the pipe
 * may hold it open for ever, and the pool must not wait for it.
 */
const LAST_WORDS_MS = 150;

/** What the app left running in its process group dies with it: nobody else would end it. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: nothing left in the group, which is the aim.
  }
}

/**
 * Who made it: stacks of descriptors, handles and timers that were made and not ended. Only loaded
 * with work after a verdict asked for it, because a stack for each timer would slow the app.
 */
import async_hooks = require('node:async_hooks');
import fs = require('node:fs');
import { syncBuiltinESMExports } from 'node:module';
import type { Site } from './probe-messages.ts' with { 'resolution-mode': 'import' };

/** Begins to record. Calling it again changes nothing. */
export function startSites(): void {
  if (started) return;
  started = true;
  Error.stackTraceLimit = Math.max(Error.stackTraceLimit, STACK_LINES);
  watchHandles();
  watchDescriptors();
}

/** What was made since and still lives, most numerous first. */
export function readSites(): Site[] {
  const counts = new Map<string, { what: string; stack: string; count: number }>();
  for (const { what, stack } of [...handles.values(), ...descriptors.values()]) {
    const key = `${what}\n${stack}`;
    const entry = counts.get(key) ?? { what, stack, count: 0 };
    counts.set(key, entry);
    entry.count += 1;
  }
  return [...counts.values()].sort((a, b) => b.count - a.count).slice(0, SITES_LIMIT);
}

// --- internal ---

const SITES_LIMIT = 20;
const STACK_LINES = 30;

/** Records at once: the app under test leaks, and its probe must not be the one that dies of it. */
const RECORDS_LIMIT = 20_000;

interface Made {
  readonly what: string;
  readonly stack: string;
}

let started = false;
const handles = new Map<number, Made>();
const descriptors = new Map<number, Made>();

/** Passing by nature, or made for each promise: only noise. */
const IGNORED =
  /^(PROMISE|TickObject|Immediate|Microtask|RANDOM|FSREQ|GETADDR|SHUTDOWN|WRITE|TCPCONN|HTTP)/;

function watchHandles(): void {
  const hook = async_hooks.createHook({
    init(id, type) {
      if (IGNORED.test(type) || handles.size >= RECORDS_LIMIT) return;
      handles.set(id, { what: type, stack: stackHere() });
    },
    destroy(id) {
      handles.delete(id);
    },
  });
  hook.enable();
}

type Callback = (error: Error | null, fd: number) => void;

/** Descriptors of files are no handles; the public functions that make and end them are few. */
function watchDescriptors(): void {
  const { open, openSync, close, closeSync } = fs;
  const note = (fd: number, stack: string): void => {
    if (descriptors.size < RECORDS_LIMIT) descriptors.set(fd, { what: 'file descriptor', stack });
  };
  const patched = fs as unknown as Record<string, unknown>;
  patched['openSync'] = (...args: Parameters<typeof openSync>) => {
    const fd = openSync(...args);
    note(fd, stackHere());
    return fd;
  };
  patched['closeSync'] = (fd: number) => {
    descriptors.delete(fd);
    closeSync(fd);
  };
  patched['open'] = (...args: unknown[]) => {
    const stack = stackHere();
    const callback = args.pop() as Callback;
    const opened: Callback = (error, fd) => {
      if (error === null) note(fd, stack);
      callback(error, fd);
    };
    (open as (...all: unknown[]) => void)(...args, opened);
  };
  patched['close'] = (fd: number, callback?: (error: Error | null) => void) => {
    descriptors.delete(fd);
    close(fd, callback);
  };
  watchFileHandles(note);
  syncBuiltinESMExports();
}

function watchFileHandles(note: (fd: number, stack: string) => void): void {
  const { open } = fs.promises;
  const patched = fs.promises as unknown as Record<string, unknown>;
  patched['open'] = async (...args: Parameters<typeof open>) => {
    const stack = stackHere();
    const handle = await open(...args);
    note(handle.fd, stack);
    const { fd } = handle;
    // An emitter in fact; Node's types do not say so.
    const emitter = handle as unknown as { on(event: 'close', done: () => void): void };
    emitter.on('close', () => descriptors.delete(fd));
    return handle;
  };
}

/** The stack without Node's own frames and ours; an empty one is Node's own work. */
function stackHere(): string {
  const lines = (new Error('made here').stack ?? '').split('\n').slice(1);
  return lines
    .filter((line) => !line.includes('node:') && !line.includes(__filename))
    .map((line) => line.trim())
    .slice(0, 6)
    .join('\n');
}

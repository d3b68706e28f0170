/**
 * Who made it: stacks of descriptors, handles, timers and listeners that were made and not ended.
 * Only loaded with work after a verdict asked for it, because a stack for each would slow the app.
 */
import async_hooks = require('node:async_hooks');
import events = require('node:events');
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
  watchListeners();
}

/** What was made since and still lives, most numerous first. Collect garbage before. */
export function readSites(): Site[] {
  const counts = new Map<string, { what: string; stack: string; count: number }>();
  forgetRemoved();
  const all = [...handles.values(), ...descriptors.values(), ...listeners];
  for (const { what, stack } of all) {
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

/** Weak: to record a listener must not keep alive what would have gone with it. */
interface Added extends Made {
  readonly target: WeakRef<object>;
  readonly type: string | symbol;
  readonly listener: WeakRef<object>;
}

let started = false;
const handles = new Map<number, Made>();
const descriptors = new Map<number, Made>();
let listeners: Added[] = [];

/** Passing by nature, or made for each promise: only noise. */
const IGNORED =
  /^(PROMISE|TickObject|Immediate|Microtask|RANDOM|FSREQ|GETADDR|SHUTDOWN|WRITE|TCPCONN|HTTP)/;

function watchHandles(): void {
  const hook = async_hooks.createHook({
    init(id, type) {
      if (IGNORED.test(type) || handles.size >= RECORDS_LIMIT) return;
      const stack = stackHere();
      if (stack !== '') handles.set(id, { what: type, stack });
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

type Add = (this: object, type: string | symbol, listener: object, ...more: unknown[]) => unknown;

/** `once` and its kin call these. */
function watchListeners(): void {
  const places = [
    [events.EventEmitter.prototype, ['on', 'addListener', 'prependListener']],
    [EventTarget.prototype, ['addEventListener']],
  ] as const;
  for (const [prototype, names] of places) {
    const patched = prototype as unknown as Record<string, Add>;
    for (const name of names) {
      const add = patched[name];
      if (add === undefined) continue;
      patched[name] = function (this: object, type, listener, ...more) {
        noteListener(this, type, listener);
        return add.call(this, type, listener, ...more);
      };
    }
  }
}

function noteListener(target: object, type: string | symbol, listener: unknown): void {
  const isFunction = typeof listener === 'function';
  if (!isFunction && (typeof listener !== 'object' || listener === null)) return;
  if (listeners.length >= RECORDS_LIMIT) forgetRemoved();
  const stack = stackHere();
  // Node's own listeners, some dozen a request, have no frame of the app.
  if (stack === '' || listeners.length >= RECORDS_LIMIT) return;
  const name = target === process ? 'process' : target.constructor?.name || 'an emitter';
  const what = `listener of ${JSON.stringify(String(type))} on ${name}`;
  listeners.push({
    what,
    stack,
    type,
    target: new WeakRef(target),
    listener: new WeakRef(listener),
  });
}

/** Drops listeners that were removed, and those that went with their emitter. */
function forgetRemoved(): void {
  const attached = new Map<object, Map<string | symbol, Set<unknown>>>();
  const attachedTo = (target: object, type: string | symbol): Set<unknown> => {
    const types = attached.get(target) ?? new Map<string | symbol, Set<unknown>>();
    attached.set(target, types);
    const known = types.get(type) ?? new Set(listenersOf(target, type));
    types.set(type, known);
    return known;
  };
  listeners = listeners.filter(({ target, type, listener }) => {
    const [alive, called] = [target.deref(), listener.deref()];
    return alive !== undefined && called !== undefined && attachedTo(alive, type).has(called);
  });
}

/** With the wrappers of `once`, which is what was recorded. */
function listenersOf(target: object, type: string | symbol): readonly unknown[] {
  try {
    return target instanceof EventTarget
      ? events.getEventListeners(target, String(type))
      : (target as NodeJS.EventEmitter).rawListeners(type);
  } catch {
    // An emitter by inheritance only, with no `_events` of its own.
    return [];
  }
}

/** The stack without Node's own frames and ours; an empty one is Node's own work. */
function stackHere(): string {
  const lines = (new Error('made here').stack ?? '').split('\n').slice(1);
  return lines
    .filter((line) => !line.includes('node:') && !line.includes('<anonymous>)'))
    .filter((line) => !OWN_FILES.some((file) => line.includes(file)))
    .map((line) => line.trim())
    .slice(0, 6)
    .join('\n');
}

/** Also of the agent, which listens to the app's servers and connections. */
const OWN_FILES = [__filename, __filename.replace(/leak.probe-sites\.\w+$/, 'data/agent/')];

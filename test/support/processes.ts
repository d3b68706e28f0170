/** Real processes: find them, wait for them, and never leave one behind. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../scripts/free-port.mjs';

export { freePort };

export const APPS_FOLDER = fileURLToPath(new URL('../apps/', import.meta.url));
export const ECHO_APP = `${APPS_FOLDER}echo.cjs`;

/** True for a process that runs; false for none and for a zombie. */
export function isAlive(pid: number): boolean {
  const state = statOf(pid)?.state;
  // The first thread can be gone before the others, and the sockets are theirs as well.
  if (state === 'Z') return threadsOf(pid) > 1;
  return state !== undefined && state !== 'X';
}

/** A process id is used again one day; together with its start time it names one process. */
export function startOf(pid: number): string | null {
  return statOf(pid)?.start ?? null;
}

/** The living descendants of a process, through /proc; the process itself is not among them. */
export function processesOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : null;
    if (stat !== null && stat.state !== 'Z') parents.set(Number(name), stat.parent);
  }
  const found: number[] = [];
  for (let generation = [pid]; generation.length > 0;) {
    const next = [...parents].filter(([, parent]) => generation.includes(parent));
    generation = next.map(([child]) => child);
    found.push(...generation);
  }
  return found;
}

/** Polls until `check` is true; the error of a wait that was in vain says what it waited for. */
export async function waitUntil(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(POLL_MS);
  }
}

export function waitForExit(
  child: ChildProcess,
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve({ code: child.exitCode, signal: child.signalCode });
  }
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
}

/** Kills the process and all that it started, by process id; those already gone are no error. */
export async function killTree(pid: number): Promise<void> {
  // What was never spawned; to the kernel 0 means our own process group.
  if (pid === 0) return;
  const doomed = [pid, ...processesOf(pid)];
  for (const each of doomed) killOne(each);
  await waitUntil(`death of ${doomed.join(', ')}`, () => !doomed.some(isAlive));
}

export function killOne(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (pid === 0) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself in the meantime.
  }
}

/** A bare `node app` without Cofferdam: to try the clients themselves. */
export async function startBareApp(
  env: Readonly<Record<string, string>> = {},
  app = ECHO_APP,
): Promise<{ port: number; pid: number; stop(): Promise<void> }> {
  const port = await freePort();
  const child = spawn(process.execPath, [app], {
    env: { ...process.env, HOST: '127.0.0.1', PORT: String(port), ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const pid = child.pid ?? 0;
  await waitUntil(`${app} listens on ${port}`, async () => !isAlive(pid) || (await answers(port)));
  return { port, pid, stop: () => killTree(pid) };
}

/** Whether something accepts connections on that port of 127.0.0.1. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}

/**
 * GET on a connection of its own, closed with the answer: an idle one would hold up a graceful stop.
 */
export function statusOf(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', reject);
  });
}

// --- internal ---

function threadsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).length;
  } catch {
    // Its parent has heard of its end meanwhile.
    return 0;
  }
}

const POLL_MS = 20;

interface Stat {
  /** One letter: R, S, D, Z… */
  readonly state: string;
  readonly parent: number;
  /** Clock ticks since the machine started. */
  readonly start: string;
}

/** The command name in /proc/<pid>/stat may contain brackets: parse behind the last `)`. */
function statOf(pid: number): Stat | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', parent: Number(fields[1]), start: fields[19] ?? '' };
  } catch {
    return null;
  }
}

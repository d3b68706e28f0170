/** The real command line under test: `node dist/cli/main.js serve …`, and all that it started. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Told } from '../../src/control/types.ts';
import {
  freePort,
  isAlive,
  killOne,
  killTree,
  processesOf,
  startOf,
  waitForExit,
  waitUntil,
} from './processes.ts';

export const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** An event of the log; the fields of {@link Told} by name, plus what the logger adds. */
export type LogEvent = Partial<Record<string, unknown>> & { readonly event: string };

export interface RunningCofferdam {
  /** `http://127.0.0.1:<port>`, or https for an app that is told so by PROTOCOL. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** For `cofferdam status --name …`. */
  readonly name: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly events: readonly LogEvent[];
  /** Events of one kind, typed as control tells them. */
  told<E extends Told['event']>(event: E): Extract<Told, { event: E }>[];
  /** Resolves with the first match in stdout or stderr, also one of the past. */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Resolves once so many events of the kind were told. */
  waitForTold(event: Told['event'], count?: number, timeoutMs?: number): Promise<void>;
  /** Living workers (and what they started). */
  workers(): number[];
  /** Workers (and other children) seen at any time that are gone now. */
  goneWorkers(): number[];
  signal(signal: NodeJS.Signals): void;
  /** How it ended by itself. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /**
   * TERM, then waits; kills what is left after `timeoutMs` and then throws, because nothing may be
   * left. Call it in `finally` or `afterEach`; harmless when it has ended already.
   */
  stop(timeoutMs?: number): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Leave `--port` and `--host` to the caller. */
  readonly bare?: boolean;
  /** A command that does something and then becomes the one behind it. */
  readonly enter?: readonly string[];
}

/** Enough for two busy cores: boot of the supervisor, of the first worker, then of the others. */
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;
/** A worker that outlives the supervisor keeps the pipes open: do not wait for their end. */
const LAST_WORDS_MS = 500;
/** A chatty app must not fill the memory of the test. */
const OUTPUT_LIMIT_CHARS = 1_000_000;

let count = 0;

/**
 * Starts `cofferdam serve <args>` with JSON logs, a name and a free port of its own. Does not wait:
 * `await running.waitForTold('all_ready')`.
 */
export async function spawnCofferdam(
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<RunningCofferdam> {
  if (!existsSync(CLI)) throw new Error('dist/ is missing: npm run build');
  count += 1;
  const named = args.indexOf('--name');
  const name = named < 0 ? `test-${process.pid}-${count}` : (args[named + 1] ?? '');
  const port = await freePort();
  const address = ['--port', String(port), '--host', '127.0.0.1'];
  const extra = options.bare ? [] : address;
  const [before, after] = splitAtDashes(args);
  const flags = [...before, '--name', name, '--log', 'json', ...extra, ...after];
  const command = [...(options.enter ?? []), process.execPath, CLI, 'serve', ...flags];
  const child = spawn(command[0]!, command.slice(1), {
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = child.pid ?? 0;
  const scheme = ['https', 'http2'].includes(options.env?.['PROTOCOL'] ?? '') ? 'https' : 'http';
  const seen = rememberProcesses();
  let stdout = '';
  let stderr = '';
  const events: LogEvent[] = [];
  child.stdout.on('data', (chunk: Buffer) => (stdout = append(stdout, chunk.toString())));
  createInterface(child.stderr).on('line', (line) => {
    stderr = append(stderr, `${line}\n`);
    const event = parseEvent(line);
    if (event === null) return;
    events.push(event);
    if (event.event === 'worker_ready') seen.add(Number(event['pid']));
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let isOver = false;
  const exited = waitForExit(child).then(async (end) => {
    await Promise.race([closed, sleep(LAST_WORDS_MS)]);
    isOver = true;
    return end;
  });
  /** What a process that has ended did not say by then, it will never say. */
  const orOver = (check: () => boolean) => (): boolean => {
    if (check()) return true;
    if (isOver) throw new Error('cofferdam has ended');
    return false;
  };
  const workers = (): number[] => {
    if (isAlive(pid)) for (const each of processesOf(pid)) seen.add(each);
    return seen.living();
  };
  const output = (): string => `${stdout}${stderr}`;

  return {
    url: `${scheme}://127.0.0.1:${port}`,
    port,
    pid,
    name,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    events,
    told: (event) => events.filter((each) => each.event === event) as never,
    async waitFor(pattern, timeoutMs = START_TIMEOUT_MS) {
      await waitForOutput(
        `${pattern}`,
        orOver(() => pattern.test(output())),
        timeoutMs,
        output,
      );
      return pattern.exec(output()) as RegExpExecArray;
    },
    async waitForTold(event, wanted = 1, timeoutMs = START_TIMEOUT_MS) {
      const enough = (): boolean => events.filter((each) => each.event === event).length >= wanted;
      await waitForOutput(`${wanted} × ${event}`, orOver(enough), timeoutMs, output);
    },
    workers,
    goneWorkers: () => seen.gone(),
    signal: (signal) => killOne(pid, signal),
    exited,
    async stop(timeoutMs = STOP_TIMEOUT_MS) {
      workers();
      killOne(pid, 'SIGTERM');
      try {
        const late = `cofferdam did not stop in ${timeoutMs} ms`;
        await waitForOutput(late, () => !isAlive(pid), timeoutMs, output);
      } finally {
        for (const each of seen.living()) killOne(each);
        await killTree(pid);
      }
      return exited;
    },
  };
}

// --- internal ---

function append(text: string, more: string): string {
  return (text + more).slice(-OUTPUT_LIMIT_CHARS);
}

/** What follows `--` belongs to the app, so our own flags go before it. */
function splitAtDashes(args: readonly string[]): [string[], string[]] {
  const at = args.indexOf('--');
  return at < 0 ? [[...args], []] : [args.slice(0, at), args.slice(at)];
}

function parseEvent(line: string): LogEvent | null {
  if (!line.startsWith('{')) return null;
  try {
    const event = JSON.parse(line) as LogEvent;
    return typeof event.event === 'string' ? event : null;
  } catch {
    return null;
  }
}

function rememberProcesses(): {
  add(pid: number): void;
  living(): number[];
  gone(): number[];
} {
  const starts = new Map<number, string>();
  const lives = (pid: number): boolean => isAlive(pid) && startOf(pid) === starts.get(pid);
  return {
    add: (pid) => void starts.set(pid, startOf(pid) ?? ''),
    living: () => [...starts.keys()].filter(lives),
    gone: () => [...starts.keys()].filter((pid) => !lives(pid)),
  };
}

/** A failed wait shows what the process said, which is what one wants to see in a red test. */
async function waitForOutput(
  what: string,
  check: () => boolean,
  timeoutMs: number,
  output: () => string,
): Promise<void> {
  try {
    await waitUntil(what, check, timeoutMs);
  } catch (error) {
    throw new Error(`${String(error)}\n--- output ---\n${output().slice(-4_000)}`, {
      cause: error,
    });
  }
}

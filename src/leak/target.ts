/**
 * The app under test: one worker with agent and probe, its address, its samples, its last words.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CofferdamError } from '../errors.ts';
import { BRIEF_VARIABLE, MESSAGE_COMMAND } from '../protocol.ts';
import type { Envelope, WorkerBrief, WorkerMessage } from '../protocol.ts';
import { describeDescriptors, measure } from './measure.ts';
import { PROBE_COMMAND } from './probe-messages.ts';
import type { ProbeEnvelope, ProbeReply, ProbeRequest } from './probe-messages.ts';
import type { Protocol } from './load.ts';
import type { Phase, Sample } from './series.ts';

export interface TargetOptions {
  /** Absolute path of the app's file. */
  readonly app: string;
  readonly args: readonly string[];
  readonly nodeArgs: readonly string[];
  /** The Node binary; the one that runs us unless an arm wants another. */
  readonly node: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly bootTimeoutMs: number;
  /** Where the app's own output goes; null = nowhere (its last lines are kept for messages). */
  readonly output: NodeJS.WritableStream | null;
}

export interface Target {
  readonly pid: number;
  /** Origin for the load: `http://127.0.0.1:41234`. */
  readonly url: string;
  /** What its server speaks best. */
  readonly protocol: Protocol;
  readonly node: string;
  /** Null while it lives. */
  readonly death: () => Death | null;
  /** As `death`, but waits a moment for one that is just happening. */
  settled(): Promise<Death | null>;
  /** Collects garbage and measures. */
  sample(at: { requests: number; atMs: number; phase: Phase }): Promise<Sample>;
  ask(request: ProbeRequest, timeoutMs?: number): Promise<ProbeReply>;
  /** What its descriptors point to, and how many each: `/tmp/log.txt`, `socket`, `pipe`. */
  describeDescriptors(): Promise<Map<string, number>>;
  stop(): Promise<void>;
}

export interface Death {
  readonly code: number | null;
  readonly signal: string | null;
  /** V8 ran out of heap, or the kernel killed it. */
  readonly outOfMemory: boolean;
  readonly lastWords: string;
}

/** A sample of a gigabyte heap takes seconds on a loaded machine. */
const ASK_TIMEOUT_MS = 60_000;

/** From the first sign of a death to the end of its last words. */
const DYING_MS = 500;

/**
 * Starts the app and waits until it listens.
 * @throws CofferdamError COF_APP_DOES_NOT_BOOT, with its last words.
 */
export async function startTarget(options: TargetOptions): Promise<Target> {
  const port = await freePort();
  const child = spawnApp(options, port);
  const words = keepWords(child, options.output);
  const death = watchDeath(child, words);
  const listening = await waitForListening(child, options, death, words, port);
  if (listening.scheme === 'tcp') {
    await stopChild(child);
    const hint = 'The load speaks HTTP/1.1 and HTTP/2, to servers of node:http, https and http2.';
    const message = 'the app listens, but with no HTTP server';
    throw new CofferdamError('COF_APP_DOES_NOT_BOOT', message, { hint });
  }
  const ask = openProbe(child, death);
  const pid = child.pid ?? -1;
  return {
    pid,
    url: listening.url,
    protocol: listening.scheme === 'http2' ? 'http2' : 'http1',
    node: listening.node,
    death: death.read,
    settled: () => Promise.race([death.happened, sleep(DYING_MS, null)]),
    ask,
    sample: async (at) => ({ ...at, ...(await measure(pid, ask)) }),
    describeDescriptors: () => describeDescriptors(pid),
    stop: () => stopChild(child),
  };
}

// --- internal ---

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** Long enough to be no noise; the reports of the agent are not used here. */
const REPORT_INTERVAL_MS = 3_600_000;

function spawnApp(options: TargetOptions, port: number): ChildProcess {
  const brief: WorkerBrief = {
    slot: 1,
    generation: 1,
    listeners: [],
    // Not moved: an app that starts a server for itself first would get the wrong one.
    address: null,
    reportIntervalMs: REPORT_INTERVAL_MS,
    requestLimit: 0,
    warmupPath: null,
    handover: false,
    orphanGraceMs: 0,
  };
  const preloads = [pathOf('../data/agent/agent.cjs'), pathOf('./probe.cjs')];
  const requires = preloads.flatMap((path) => ['--require', path]);
  const args = [...options.nodeArgs, ...requires, options.app, ...options.args];
  return spawn(options.node, args, {
    cwd: options.cwd,
    env: { ...options.env, PORT: String(port), [BRIEF_VARIABLE]: JSON.stringify(brief) },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Enough for a stack and V8's words of an OOM. */
const WORDS_LIMIT = 8192;

function keepWords(child: ChildProcess, output: NodeJS.WritableStream | null): () => string {
  let kept = '';
  const take = (chunk: Buffer): void => {
    kept = (kept + chunk.toString()).slice(-WORDS_LIMIT);
    output?.write(chunk);
  };
  child.stdout?.on('data', (chunk: Buffer) => output?.write(chunk));
  child.stderr?.on('data', take);
  return () => kept.trim();
}

interface DeathWatch {
  readonly read: () => Death | null;
  readonly happened: Promise<Death>;
}

function watchDeath(child: ChildProcess, words: () => string): DeathWatch {
  let death: Death | null = null;
  const happened = new Promise<Death>((resolve) => {
    const note = (code: number | null, signal: string | null, more = ''): void => {
      const lastWords = [words(), more].filter(Boolean).join('\n');
      const outOfMemory =
        signal === 'SIGKILL' ||
        /heap out of memory|ENOMEM|EMFILE|Allocation failed/.test(lastWords);
      death ??= { code, signal, outOfMemory, lastWords };
      resolve(death);
    };
    child.on('error', (error) => note(null, null, error.message));
    // 'close' comes after the last words were read.
    child.on('close', (code, signal) => note(code, signal));
  });
  return { read: () => death, happened };
}

interface Listening {
  readonly url: string;
  readonly scheme: string;
  readonly node: string;
}

async function waitForListening(
  child: ChildProcess,
  options: TargetOptions,
  death: DeathWatch,
  words: () => string,
  port: number,
): Promise<Listening> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, options.bootTimeoutMs, 'late' as const);
  });
  let elsewhere = '';
  const found = firstListening(child, port, (path) => (elsewhere = ` but the socket ${path}`));
  const result = await Promise.race([found, death.happened, late]);
  clearTimeout(timer);
  if (result !== 'late' && 'url' in result) return result;
  await stopChild(child);
  const seconds = options.bootTimeoutMs / 1000;
  const how =
    result === 'late'
      ? `listened on nothing${elsewhere} for ${seconds} s`
      : `ended with ${result.signal ?? `code ${result.code}`} before it listened`;
  const said = result === 'late' ? words() : result.lastWords;
  const message = `the app ${how}${said === '' ? '' : `; it said:\n${said}`}`;
  throw new CofferdamError('COF_APP_DOES_NOT_BOOT', message);
}

/** After the first server that is not on `PORT`, wait so long for one that is. */
const OTHER_PORT_MS = 700;

/** The server on the port that we asked for; else the first one (a port written into the app). */
function firstListening(
  child: ChildProcess,
  port: number,
  onUnix: (path: string) => void,
): Promise<Listening> {
  let node = '';
  let isWaiting = false;
  return new Promise((resolve) => {
    (child as EventEmitter).on(
      'internalMessage',
      (message: Envelope<WorkerMessage>, handle?: { close(): void }) => {
        if (message.cmd !== MESSAGE_COMMAND) return;
        // Serve would keep it for the next worker; here there is none.
        handle?.close();
        if (message.type === 'hello') node = message.node;
        if (message.type !== 'listening') return;
        if (message.address.kind === 'unix') return onUnix(message.address.path);
        const { scheme, address, secure } = message;
        const url = `${secure ? 'https' : 'http'}://${reachable(address.host)}:${address.port}`;
        const found = { url, scheme, node };
        if (address.port === port) resolve(found);
        else if (!isWaiting) setTimeout(resolve, OTHER_PORT_MS, found);
        isWaiting = true;
      },
    );
  });
}

/** A listening address as one to connect to: any interface means the loopback one as well. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

function openProbe(child: ChildProcess, death: DeathWatch): Target['ask'] {
  let lastId = 0;
  const waiting = new Map<number, (reply: ProbeReply) => void>();
  (child as EventEmitter).on('internalMessage', (message: ProbeEnvelope<ProbeReply>) => {
    if (message.cmd !== PROBE_COMMAND) return;
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  void death.happened.then(() => {
    for (const settle of waiting.values()) settle({ type: 'error', message: 'the app died' });
    waiting.clear();
  });
  return (request, timeoutMs = ASK_TIMEOUT_MS) =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(
          new Error(
            `the app did not answer "${request.type}" in ${Math.round(timeoutMs / 1000)} s`,
          ),
        );
      }, timeoutMs);
      waiting.set(id, (reply) => {
        clearTimeout(timer);
        if (reply.type === 'error') reject(new Error(reply.message));
        else resolve(reply);
      });
      if (death.read() !== null || !child.connected) {
        waiting.get(id)?.({ type: 'error', message: 'the app died' });
        waiting.delete(id);
        return;
      }
      child.send({ ...request, id, cmd: PROBE_COMMAND }, () => {});
    });
}

/** Nothing of the app is worth a graceful end here. */
async function stopChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const ended =
    child.exitCode !== null || child.signalCode !== null
      ? Promise.resolve()
      : new Promise((resolve) => child.once('exit', resolve));
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: it is gone already.
  }
  await ended;
  child.stdout?.destroy();
  child.stderr?.destroy();
}

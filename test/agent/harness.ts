/**
 * The smallest supervisor that an agent can live under. It binds nothing: the first worker does, and
 * hands the listening handle over; later workers inherit it. Connections of a draining worker are
 * relayed to a sibling, with our copy of the handle kept until the sibling has taken it.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type {
  DrainResult,
  Envelope,
  ListenAddress,
  ListenKey,
  SupervisorMessage,
  WorkerBrief,
  WorkerMessage,
  WorkerReport,
} from '../../src/protocol.ts';
import { BRIEF_VARIABLE, MESSAGE_COMMAND } from '../../src/protocol.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE = `${ROOT}.cache/`;
const OUT = `${CACHE}agent-${process.pid}`;
const FIRST_INHERITED_FD = 4;

/** A raw `TCP` or `Pipe` wrap, as it comes over IPC. */
export interface RawHandle {
  readonly fd: number;
  close(): void;
}

interface Kept {
  readonly key: ListenKey;
  readonly address: ListenAddress;
  readonly handle: RawHandle;
}

export interface Worker {
  readonly slot: number;
  readonly process: ChildProcess;
  readonly messages: WorkerMessage[];
  readonly output: { text: string };
  report: WorkerReport | null;
  state: 'booting' | 'ready' | 'draining' | 'drained' | 'gone';
  /** Calls back for each message that comes from now on. */
  readonly watchers: Set<() => void>;
}

/** A connection between two workers. */
interface Relay {
  readonly id: number;
  readonly key: ListenKey;
  readonly fresh: boolean;
  readonly handle: RawHandle;
  readonly tried: Set<Worker>;
  taker: Worker;
}

export interface Harness {
  readonly kept: Map<ListenKey, Kept>;
  readonly workers: Set<Worker>;
  /** Connections that no sibling took. */
  readonly orphaned: { count: number };
  readonly relayed: { count: number };
  /** Gets connections before all others; for tests of what it does with them. */
  readonly favourite: { worker: Worker | null };
  /** Starts a worker; resolved when it listens (or sent what `until` waits for). */
  start(until?: (message: WorkerMessage) => boolean): Promise<Worker>;
  spawn(): Worker;
  send(worker: Worker, message: SupervisorMessage, handle?: RawHandle): void;
  /** Drains a worker and ends it with TERM once it says `drained`. */
  drain(worker: Worker, order?: Partial<DrainOrder>): Promise<DrainResult>;
  stop(): Promise<void>;
}

type DrainOrder = Extract<SupervisorMessage, { type: 'drain' }>;

export interface HarnessOptions {
  readonly app: string;
  readonly args?: readonly string[];
  readonly nodeArgs?: readonly string[];
  readonly brief?: Partial<WorkerBrief>;
  readonly env?: Record<string, string>;
}

/** Compiles the agent for this test process; returns the path of its entry. */
export function buildAgent(): string {
  if (!built) {
    removeOldBuilds();
    const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
    execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', OUT], {
      cwd: ROOT,
    });
    built = true;
  }
  return `${OUT}/data/agent/agent.cjs`;
}

export function startHarness(options: HarnessOptions): Harness {
  const agent = buildAgent();
  const kept = new Map<ListenKey, Kept>();
  const workers = new Set<Worker>();
  const relays = new Map<number, Relay>();
  const orphaned = { count: 0 };
  const relayed = { count: 0 };
  const favourite: Harness['favourite'] = { worker: null };
  let slots = 0;
  let relayIds = 0;

  function spawnWorker(): Worker {
    const inherited = [...kept.values()];
    const brief: WorkerBrief = {
      slot: ++slots,
      generation: 1,
      listeners: inherited.map(({ key }, i) => ({ key, fd: FIRST_INHERITED_FD + i })),
      address: null,
      reportIntervalMs: 100,
      requestLimit: 0,
      warmupPath: null,
      handover: true,
      orphanGraceMs: 1000,
      ...options.brief,
    };
    const argv = [...(options.nodeArgs ?? []), '--require', agent, options.app];
    const child = spawn(process.execPath, [...argv, ...(options.args ?? [])], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc', ...inherited.map(({ handle }) => handle.fd)],
      env: { ...process.env, ...options.env, [BRIEF_VARIABLE]: JSON.stringify(brief) },
    });
    const worker: Worker = {
      slot: brief.slot,
      process: child,
      messages: [],
      output: { text: '' },
      report: null,
      state: 'booting',
      watchers: new Set(),
    };
    workers.add(worker);
    const hear = (chunk: Buffer) => {
      worker.output.text += chunk.toString();
      notify(worker);
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    child.on('error', () => undefined);
    child.on('internalMessage', (message: Envelope<WorkerMessage>, handle?: RawHandle) => {
      if (message.cmd === MESSAGE_COMMAND) receive(worker, message, handle);
    });
    child.once('exit', () => {
      worker.state = 'gone';
      workers.delete(worker);
      for (const relay of relays.values()) if (relay.taker === worker) passOn(relay);
      notify(worker);
    });
    return worker;
  }

  function receive(worker: Worker, message: WorkerMessage, handle: RawHandle | undefined): void {
    worker.messages.push(message);
    switch (message.type) {
      case 'listening':
        if (worker.state === 'booting') worker.state = 'ready';
        if (handle === undefined) break;
        if (kept.has(message.key)) handle.close();
        else kept.set(message.key, { key: message.key, address: message.address, handle });
        break;
      case 'report':
        worker.report = message.report;
        break;
      case 'connection': {
        if (handle === undefined) break;
        relayed.count++;
        const { key, fresh = false } = message;
        passOn({ id: ++relayIds, key, fresh, handle, tried: new Set([worker]), taker: worker });
        break;
      }
      case 'adopted': {
        const relay = relays.get(message.id);
        if (relay === undefined || relay.taker !== worker) break;
        if (message.ok) {
          relays.delete(relay.id);
          relay.handle.close();
        } else passOn(relay);
        break;
      }
      case 'drained':
        worker.state = 'drained';
        break;
      default:
        break;
    }
    notify(worker);
  }

  /** Offers a connection to the ready worker with the fewest; our copy stays until it is taken. */
  function passOn(relay: Relay): void {
    const [taker] = [...workers]
      .filter((worker) => worker.state === 'ready' && !relay.tried.has(worker))
      .sort((a, b) => weigh(a) - weigh(b));
    if (taker === undefined) {
      relays.delete(relay.id);
      orphaned.count++;
      relay.handle.close();
      return;
    }
    relay.taker = taker;
    relay.tried.add(taker);
    relays.set(relay.id, relay);
    const { key, id, fresh, handle } = relay;
    send(taker, { type: 'adopt', key, id, fresh }, handle);
  }

  function weigh(worker: Worker): number {
    return worker === favourite.worker ? -1 : (worker.report?.connections ?? 0);
  }

  function send(worker: Worker, message: SupervisorMessage, handle?: RawHandle): void {
    if (!worker.process.connected) return;
    const envelope: Envelope<SupervisorMessage> = { ...message, cmd: MESSAGE_COMMAND };
    // Node's types know no raw handles.
    worker.process.send(envelope, handle as never, {}, () => undefined);
  }

  async function drain(worker: Worker, order: Partial<DrainOrder> = {}): Promise<DrainResult> {
    worker.state = 'draining';
    send(worker, {
      type: 'drain',
      deadlineMs: 10_000,
      longDeadlineMs: 20_000,
      handover: true,
      final: false,
      ...order,
    });
    const message = await waitFor(worker, (m) => m.type === 'drained');
    if (message.type !== 'drained') throw new Error('not drained');
    worker.process.kill('SIGTERM');
    return message.result;
  }

  return {
    kept,
    workers,
    orphaned,
    relayed,
    favourite,
    spawn: spawnWorker,
    async start(until = (message) => message.type === 'listening') {
      const worker = spawnWorker();
      await waitFor(worker, until);
      return worker;
    },
    send,
    drain,
    async stop() {
      for (const worker of workers) {
        const gone = once(worker.process, 'exit');
        worker.process.kill('SIGKILL');
        await gone;
      }
      for (const { handle } of kept.values()) handle.close();
      kept.clear();
    },
  };
}

/** The first message, past ones included, for which `wanted` is true; fails when the worker goes. */
export async function waitFor(
  worker: Worker,
  wanted: (message: WorkerMessage) => boolean,
  timeoutMs = 15_000,
): Promise<WorkerMessage> {
  const find = () => worker.messages.find(wanted);
  const types = () => worker.messages.map(({ type }) => type).join();
  await waitUntil(worker, () => find() !== undefined, `the message; got ${types()}`, timeoutMs);
  return find() as WorkerMessage;
}

/** A file of `test/apps`. */
export function appPath(name: string): string {
  return `${ROOT}test/apps/${name}`;
}

/** Waits until a worker has printed a text. */
export async function waitForOutput(
  worker: Worker,
  text: string,
  timeoutMs = 15_000,
): Promise<void> {
  await waitUntil(worker, () => worker.output.text.includes(text), `"${text}"`, timeoutMs);
}

/** The TCP port of the first listening socket that is kept. */
export function portOf(harness: Harness): number {
  for (const { address } of harness.kept.values()) if (address.kind === 'tcp') return address.port;
  throw new Error('nothing listens on TCP');
}

// --- internal ---

let built = false;

/** A test process has no dependable end, so each beginning cleans up after those before it. */
function removeOldBuilds(): void {
  if (!existsSync(CACHE)) return;
  for (const name of readdirSync(CACHE)) {
    const pid = /^agent-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid)))
      rmSync(CACHE + name, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function waitUntil(
  worker: Worker,
  isTrue: () => boolean,
  what: string,
  timeoutMs: number,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const end = (settle: () => void) => {
      worker.watchers.delete(look);
      clearTimeout(timer);
      settle();
    };
    const fail = (why: string) => {
      end(() => {
        reject(new Error(`waited for ${what}: ${why}; output: ${worker.output.text.slice(-2000)}`));
      });
    };
    const timer = setTimeout(() => {
      fail(`nothing in ${timeoutMs} ms`);
    }, timeoutMs);
    const look = () => {
      if (isTrue()) end(resolve);
      else if (worker.state === 'gone') fail('the worker is gone');
    };
    worker.watchers.add(look);
    look();
  });
}

function notify(worker: Worker): void {
  for (const watcher of worker.watchers) watcher();
}

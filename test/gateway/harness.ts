/** A gateway process as the supervisor runs it, and workers behind it; all end with the test. */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import {
  GATEWAY_VARIABLE,
  type FromGateway,
  type GatewayBrief,
  type GatewaySettings,
  type ToGateway,
} from '../../src/data/gateway/messages.ts';
import type { UpstreamAddress } from '../../src/data/gateway/types.ts';
import { answers, ECHO_APP, freePort, killTree, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';

const MAIN = fileURLToPath(new URL('../../dist/data/gateway/main.js', import.meta.url));

export const SETTINGS: GatewaySettings = {
  kind: 'http',
  queueLength: 1000,
  queueTimeoutMs: 10_000,
  requestTimeoutMs: 0,
  sendTimeoutMs: 60_000,
  slowLogMs: 0,
  watched: false,
  bodyLimitBytes: 64 * 1024 * 1024,
  spoolAboveBytes: 1024 * 1024,
  trustedProxies: [],
  probePath: null,
  root: null,
  php: null,
};

export interface TestGateway {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly child: ChildProcess;
  /** All that it said, but for the regular reports. */
  readonly said: FromGateway[];
  send(message: ToGateway): void;
  /** Requests that workers have, as of their last reports: one a second. */
  inFlight(): number;
  /** The first message, said already or to come, that fits. */
  hear<T extends FromGateway['type']>(
    type: T,
    fits?: (message: FromGateway & { type: T }) => boolean,
  ): Promise<FromGateway & { type: T }>;
  /** Starts a worker and resolves when it is in rotation. */
  join(options?: WorkerOptions): Promise<TestWorker>;
}

export interface WorkerOptions {
  readonly concurrency?: number;
  readonly requestLimit?: number;
  readonly noticeAt?: number;
  readonly warmupPath?: string | null;
  readonly reserved?: boolean;
  /** For the echo app. */
  readonly env?: Readonly<Record<string, string>>;
  /** Another program than the echo app, as it is to be started for a socket. */
  readonly command?: (socket: string) => readonly [file: string, ...args: string[]];
  /** It listens on `$PORT` instead of the socket. */
  readonly tcp?: boolean;
  /** Somewhere where something listens already. */
  readonly address?: UpstreamAddress;
}

export interface TestWorker {
  readonly id: number;
  readonly pid: number;
  readonly socket: string;
  kill(): Promise<void>;
}

export async function startGateway(
  settings: Partial<GatewaySettings> = {},
  tls: GatewayBrief['tls'] = null,
  whenOver: (end: () => Promise<void>) => void = onTestFinished,
): Promise<TestGateway> {
  const port = await freePort();
  const brief: GatewayBrief = {
    listen: { host: '127.0.0.1', port },
    tls,
    settings: { ...SETTINGS, ...settings },
  };
  const env = { ...process.env, [GATEWAY_VARIABLE]: JSON.stringify(brief) };
  const child = fork(MAIN, { env, execArgv: [] });
  const pid = child.pid ?? 0;
  const said: FromGateway[] = [];
  const latest = new Map<string, FromGateway>();
  child.on('message', (message: FromGateway) => {
    if (message.type === 'report') latest.set(`report ${message.worker}`, message);
    else if (message.type === 'queue') latest.set('queue', message);
    else said.push(message);
  });
  whenOver(() => killTree(pid));
  const gateway: TestGateway = {
    url: `${tls === null ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    pid,
    child,
    said,
    send: (message) => void child.send(message),
    inFlight: () =>
      [...latest.values()].reduce(
        (sum, message) => sum + (message.type === 'report' ? message.report.inFlight : 0),
        0,
      ),
    async hear(type, fits = () => true) {
      type Wanted = FromGateway & { type: typeof type };
      const find = (): Wanted | undefined =>
        [...said, ...latest.values()].find(
          (message): message is Wanted => message.type === type && fits(message as Wanted),
        );
      await waitUntil(`gateway says ${type}`, () => find() !== undefined);
      return find()!;
    },
    join: (options = {}) => joinWorker(gateway, options),
  };
  await waitUntil('the gateway listens', () => answers(port));
  return gateway;
}

/** Make before break, as the supervisor does it: the next one serves before the old one drains. */
export async function replaceWorker(
  gateway: TestGateway,
  old: TestWorker,
  options: WorkerOptions = {},
): Promise<TestWorker> {
  const next = await gateway.join(options);
  gateway.send({ type: 'drain', worker: old.id, deadlineMs: 5000, longDeadlineMs: 5000 });
  await gateway.hear('drained', ({ worker }) => worker === old.id);
  gateway.send({ type: 'gone', worker: old.id });
  await old.kill();
  return next;
}

// --- internal ---

let lastWorker = 0;

async function joinWorker(gateway: TestGateway, options: WorkerOptions): Promise<TestWorker> {
  lastWorker += 1;
  const id = lastWorker;
  const socket = join(scratchFolder(), 'worker.sock');
  const port = options.tcp === true ? await freePort() : 0;
  const own: UpstreamAddress =
    port === 0 ? { kind: 'unix', path: socket } : { kind: 'tcp', host: '127.0.0.1', port };
  const child = options.address === undefined ? startProcess(socket, port, options) : null;
  const pid = child?.pid ?? 0;
  gateway.send({
    type: 'worker',
    worker: id,
    slot: id,
    address: options.address ?? own,
    concurrency: options.concurrency ?? 0,
    requestLimit: options.requestLimit ?? 0,
    noticeAt: options.noticeAt ?? 0,
    warmupPath: options.warmupPath ?? null,
    reserved: options.reserved ?? false,
  });
  await gateway.hear('joined', (message) => message.worker === id);
  return { id, pid, socket, kill: () => killTree(pid) };
}

function startProcess(socket: string, port: number, options: WorkerOptions): ChildProcess {
  const [file, ...args] = options.command?.(socket) ?? [process.execPath, ECHO_APP];
  const child = spawn(file, args, {
    env: { ...process.env, UNIX_SOCKET: socket, PORT: String(port), ...options.env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  onTestFinished(() => killTree(child.pid ?? 0));
  return child;
}

/** How workers behind the gateway are started: php-cgi, or the user's own program. */
import { createServer } from 'node:net';
import type { Kind } from '../config/kind.ts';
import { policyOf } from '../config/policy.ts';
import type { Settings } from '../config/settings.ts';
import type { Policy } from '../control/types.ts';
import {
  phpCgiCommand,
  type PhpCgiCommand,
  type PhpCgiOptions,
} from '../data/gateway/fastcgi/php-cgi.ts';
import type { UpstreamAddress } from '../data/gateway/types.ts';
import type { Launch } from './fleet.ts';
import type { WorkerMessage } from '../protocol.ts';
import type { PoolOrder } from './gateway-books.ts';
import { UPSTREAM_KEY, type GatewayLink, type Upstream } from './gateway-link.ts';
import { socketIn } from './socket-name.ts';
import { spawnUpstream, type UpstreamSpawn } from './upstream.ts';
import { workerEnv } from './worker-env.ts';
import { hireChild } from './zygote-child.ts';
import type { Zygotes } from './zygotes.ts';

export interface UpstreamLaunchOptions {
  readonly settings: Settings;
  readonly kind: Kind;
  readonly link: GatewayLink;
  /** Private folder for the workers' sockets. */
  readonly folder: string;
  readonly ports: PortBook;
  readonly zygotes: Zygotes;
  /** Workers that only answer health checks. */
  readonly reserved: boolean;
}

/** `node`: how a Node worker is started that listens on any free port of the loopback address. */
export function upstreamLaunchOf(options: UpstreamLaunchOptions, node: Launch | null): Launch {
  const { settings, kind, link, reserved } = options;
  const concurrency = concurrencyOf(settings, kind);
  const { warmupPath } = settings;
  const requestLimit = reserved ? 0 : settings.maxRequests;
  const order = { concurrency, requestLimit, warmupPath, reserved };
  if (kind.kind === 'node') return behind(node!, link, order);
  // Those for health checks stay apart: what befalls the parent of all others leaves them alone.
  const isChild = kind.kind === 'php' && settings.phpLayout === 'zygote' && !reserved;
  if (isChild) return zygoteOf(options, order);
  return {
    warmup: false,
    keys: [UPSTREAM_KEY],
    start(birth, listener) {
      const started = kind.kind === 'php' ? phpOf(options) : commandOf(kind, options);
      return spawnUpstream(
        { ...started, cwd: process.cwd(), order, stderr: process.stderr },
        birth,
        link,
        listener,
      );
    },
  };
}

/** Requests that one worker gets at once; 0 = no bound. */
function concurrencyOf({ concurrency }: Settings, { kind }: Kind): number {
  if (concurrency !== 'auto') return concurrency;
  return kind === 'php' ? 1 : 0;
}

/** The policy of a pool behind the gateway. */
export function upstreamPolicyOf(policy: Policy, settings: Settings, kind: Kind): Policy {
  const common = { ...policy, concurrency: concurrencyOf(settings, kind), exactRequests: true };
  // V8's heap is what the heal and its limits are about.
  return kind.kind === 'node' ? common : { ...common, heal: false, roomBytes: 0 };
}

/** Hands out ports of the loopback address that were free a moment ago. */
export interface PortBook {
  take(): number;
  close(): void;
}

/**
 * A child has to be started at once, but only the kernel knows a free port: so some are kept in
 * store. One that somebody else took meanwhile costs a failed boot, which is tried again.
 */
export async function openPortBook(kept: number = PORTS_KEPT): Promise<PortBook> {
  const store: number[] = [];
  const book = { isOpen: true };
  const refill = async (): Promise<void> => {
    while (book.isOpen && store.length < kept) store.push(await findPort());
  };
  await refill();
  return {
    take() {
      const port = store.shift();
      // Without another one the next boot fails, and says so.
      refill().catch(() => {});
      if (port === undefined) throw new Error('no free port on 127.0.0.1');
      return port;
    },
    close: () => void (book.isOpen = false),
  };
}

// --- internal ---

/** More than any gate lets boot at once in the time that it takes to find another. */
const PORTS_KEPT = 16;

type Started = Pick<UpstreamSpawn, 'file' | 'args' | 'env' | 'address'>;

/** A Node worker with the agent in it; only its requests come from the gateway. */
function behind(node: Launch, link: GatewayLink, order: PoolOrder): Launch {
  return {
    warmup: false,
    keys: [UPSTREAM_KEY],
    start(birth, listener) {
      let upstream: Upstream | null = null;
      const hear = (said: WorkerMessage): void => {
        // The agent's own reports tell more.
        if (said.type !== 'report') listener.onMessage(said, undefined);
      };
      const process_ = node.start(
        { ...birth, listeners: [] },
        {
          ...listener,
          onMessage(message, handle) {
            if (message.type !== 'listening') return listener.onMessage(message, handle);
            handle?.close();
            const { address } = message;
            // Its connections are the gateway's; only the app knows what to say to a WebSocket.
            const told = { slot: birth.slot, address, ...order, noticeAt: 0 };
            upstream ??= link.add(told, hear, {
              settled: (limits) => process_.send({ type: 'leaving', ...limits }),
            });
          },
          onExit(exit) {
            upstream?.remove();
            listener.onExit(exit);
          },
        },
      );
      return {
        ...process_,
        send(message, handle) {
          if (message.type === 'heal' || upstream === null) {
            return process_.send(message, handle);
          }
          upstream.send(message);
        },
      };
    },
  };
}

function phpOf({ settings, folder }: UpstreamLaunchOptions): Started {
  const socketPath = socketIn(folder);
  const { phpIni: ini } = settings;
  const command = phpCommandOf(settings, { layout: { type: 'isolated' }, socketPath, ini });
  return { ...command, address: { kind: 'unix', path: socketPath } };
}

/** One php-cgi for all workers, which are its children. */
function zygoteOf({ settings, link, zygotes }: UpstreamLaunchOptions, order: PoolOrder): Launch {
  const { workersMax, surge } = policyOf(settings);
  // Its own parent starts another as soon as one ends, but not before: one has to be ready.
  const layout = { type: 'zygote', children: workersMax + Math.max(1, surge) } as const;
  const zygote = zygotes.create((socketPath, pidScript) =>
    phpCommandOf(settings, { layout, socketPath, ini: iniFor(settings, pidScript) }),
  );
  return {
    warmup: false,
    keys: [UPSTREAM_KEY],
    start: (birth, listener) => hireChild({ zygote, link, order }, birth, listener),
  };
}

/** A script of ours tells which child is which: what shuts the user's out must let it in. */
function iniFor({ phpIni }: Settings, pidScript: string): Settings['phpIni'] {
  const { open_basedir: base } = phpIni;
  return base === undefined ? phpIni : { ...phpIni, open_basedir: `${base}:${pidScript}` };
}

function phpCommandOf(
  { phpBinary: binary, env: extraEnv }: Settings,
  options: Pick<PhpCgiOptions, 'layout' | 'socketPath' | 'ini'>,
): PhpCgiCommand {
  return phpCgiCommand({ ...options, binary, parentEnv: process.env, extraEnv });
}

/** With `{socket}` among its words it listens there, else on a port: `{port}`, `$PORT`. */
function commandOf(
  { command }: Extract<Kind, { kind: 'command' }>,
  options: UpstreamLaunchOptions,
): Started {
  const { env } = options.settings;
  const usesSocket = command.some((word) => word.includes('{socket}'));
  const address: UpstreamAddress = usesSocket
    ? { kind: 'unix', path: socketIn(options.folder) }
    : { kind: 'tcp', host: '127.0.0.1', port: options.ports.take() };
  const port = address.kind === 'tcp' ? address.port : 0;
  const fill = (word: string): string =>
    word
      .replaceAll('{port}', String(port))
      .replaceAll('{socket}', address.kind === 'unix' ? address.path : '');
  const [file = '', ...args] = command.map(fill);
  return {
    file,
    args,
    // By name: many programs listen on all addresses unless they are told.
    env: workerEnv({ parent: process.env, extra: env, port, host: '127.0.0.1' }),
    address,
  };
}

function findPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

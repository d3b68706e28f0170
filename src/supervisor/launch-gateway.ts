/**
 * How the gateway is started: like any Node app of ours, with the agent inside, so that its
 * listening socket, its drain and its replacement are those of all workers.
 */
import { fileURLToPath } from 'node:url';
import type { Kind } from '../config/kind.ts';
import type { Settings } from '../config/settings.ts';
import {
  GATEWAY_VARIABLE,
  type FromGateway,
  type GatewayBrief,
  type GatewaySettings,
  type ToGateway,
} from '../data/gateway/messages.ts';
import type { Policy } from '../control/types.ts';
import type { Launch } from './fleet.ts';
import type { GatewayEnd } from './gateway-books.ts';
import type { GatewayLink } from './gateway-link.ts';
import { AGENT_PATH, REPORT_INTERVAL_MS } from './launch.ts';
import { workerEnv } from './worker-env.ts';
import { spawnWorker } from './worker-process.ts';

export interface GatewayLaunchOptions {
  readonly settings: Settings;
  readonly kind: Kind;
  readonly link: GatewayLink;
}

export function gatewayLaunchOf({ settings, kind, link }: GatewayLaunchOptions): Launch {
  const { port, host, tlsCert, tlsKey } = settings;
  const brief: GatewayBrief = {
    listen: { port, host },
    tls: tlsCert === null || tlsKey === null ? null : { certFile: tlsCert, keyFile: tlsKey },
    settings: gatewaySettingsOf(settings, kind),
  };
  const env = workerEnv({ parent: process.env, extra: {}, port, host });
  env[GATEWAY_VARIABLE] = JSON.stringify(brief);
  return {
    warmup: false,
    keys: null,
    start({ slot, generation, requestLimit, listeners }, listener) {
      const end: GatewayEnd = { post: (message: ToGateway) => process_.post(message) };
      const process_ = spawnWorker(
        {
          app: GATEWAY_PATH,
          args: [],
          nodeArgs: NODE_ARGS,
          env,
          cwd: process.cwd(),
          agent: AGENT_PATH,
          stderr: process.stderr,
          listeners,
          brief: {
            slot,
            generation,
            requestLimit,
            address: null,
            reportIntervalMs: REPORT_INTERVAL_MS,
            warmupPath: null,
            handover: settings.handover,
            orphanGraceMs: settings.drainTimeoutMs,
          },
        },
        {
          ...listener,
          onAppMessage: (message) => link.heard(end, message as FromGateway),
          onExit(exit) {
            link.detach(end);
            listener.onExit(exit);
          },
        },
      );
      link.attach(end);
      return process_;
    },
  };
}

export function gatewaySettingsOf(settings: Settings, kind: Kind): GatewaySettings {
  const { queueLength, queueTimeoutMs, requestTimeoutMs, trustedProxies } = settings;
  return {
    kind: kind.kind === 'php' ? 'fastcgi' : 'http',
    queueLength,
    queueTimeoutMs,
    requestTimeoutMs,
    sendTimeoutMs: settings.sendTimeoutMs,
    slowLogMs: settings.slowLogMs,
    // A Node worker says itself that it lives, and php-cgi can say nothing while a script runs.
    watched: kind.kind === 'command' && settings.unresponsiveTimeoutMs > 0,
    bodyLimitBytes: settings.bodyLimitBytes,
    spoolAboveBytes: settings.spoolAboveBytes,
    trustedProxies,
    probePath: settings.healthPath,
    root: kind.kind === 'php' ? kind.root : settings.root,
    php:
      kind.kind === 'php'
        ? {
            extensions: PHP_EXTENSIONS,
            index: settings.index,
            frontController: kind.frontController,
            sendfileRoots: settings.sendfileRoots,
          }
        : null,
  };
}

/**
 * The gateway's own policy: one process, replaced only when it dies. The workers behind it have the
 * limits of the pool; the gateway has no leak to run from.
 */
export function gatewayPolicy(policy: Policy): Policy {
  return {
    ...policy,
    workers: 1,
    workersMin: 1,
    workersMax: 1,
    maxRequests: 0,
    maxMemoryBytes: 0,
    maxAgeMs: 0,
    gate: 1,
    surge: 1,
    budgetBytes: 0,
    roomBytes: 0,
    predict: false,
    heal: false,
    fitWorkers: false,
    strategy: 'static',
  };
}

// --- internal ---

const GATEWAY_PATH = fileURLToPath(new URL('../data/gateway/main.js', import.meta.url));

/** What it holds are buffers, which are not in the heap: a larger young generation only costs. */
const NODE_ARGS = ['--max-semi-space-size=8'];

const PHP_EXTENSIONS = ['.php'];

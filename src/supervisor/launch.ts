/** What a worker is started with under one configuration; kept until no worker of it is left. */
import { getHeapStatistics } from 'node:v8';
import { fileURLToPath } from 'node:url';
import { resolveApp } from '../config/app.ts';
import type { Config } from '../config/load.ts';
import { policyOf } from '../config/policy.ts';
import type { Settings } from '../config/settings.ts';
import { heapRoomBytes, v8FlagsFor } from '../config/v8-flags.ts';
import type { Policy } from '../control/types.ts';
import type { WorkerBrief } from '../protocol.ts';
import type { Launch } from './fleet.ts';
import { workerEnv } from './worker-env.ts';
import { spawnWorker } from './worker-process.ts';

export const AGENT_PATH = fileURLToPath(new URL('../data/agent/agent.cjs', import.meta.url));

/** Reports are the heartbeat; 1 s costs a worker some 50 µs of CPU per second. */
export const REPORT_INTERVAL_MS = 1000;

/** What there is for a pool: the budget of all, and what one worker may use of it. */
export interface Means {
  readonly budgetBytes: number;
  readonly shareBytes: number;
}

export interface NodeLaunchOptions {
  /** Workers that only answer health checks. */
  readonly reserved?: boolean;
  /** Where they listen, whatever the app or the user wants: behind the gateway. */
  readonly address?: NonNullable<WorkerBrief['address']>;
}

/** `shareBytes`, what one worker may use of the budget, decides on the heap limits. */
export function launchOf(
  { settings, origins }: Pick<Config, 'settings' | 'origins'>,
  shareBytes: number,
  { reserved = false, address }: NodeLaunchOptions = {},
): Launch {
  const port = origins.port.source === 'default' ? null : settings.port;
  // Some shells export HOST as the name of the machine: the app may read it, but it moves nobody.
  const named = origins.host.source !== 'default' && origins.host.where !== 'env HOST';
  const host = named ? settings.host : null;
  const env = workerEnv({ parent: process.env, extra: settings.env, port: settings.port, host });
  const { warmupPath, nodeArgs } = settings;
  const spawn = {
    app: resolveApp(settings.app, process.cwd(), { nodeArgs, env }),
    args: settings.args,
    nodeArgs: [...v8FlagsOf(settings, shareBytes), ...nodeArgs],
    env,
    cwd: process.cwd(),
    agent: AGENT_PATH,
    stderr: process.stderr,
  };
  const brief = {
    // Asked for by name, an address wins over whatever the app would choose by itself.
    address: address ?? (port === null && host === null ? null : { port, host }),
    reportIntervalMs: REPORT_INTERVAL_MS,
    warmupPath,
    orphanGraceMs: settings.drainTimeoutMs,
    ...(reserved ? { accept: false, handover: false } : { handover: settings.handover }),
  };
  return {
    warmup: warmupPath !== null,
    keys: null,
    start: ({ slot, generation, requestLimit, listeners, lend }, listener) =>
      spawnWorker(
        { ...spawn, brief: { ...brief, slot, generation, requestLimit, lend }, listeners },
        listener,
      ),
  };
}

/** What each worker's V8 is told; empty with `--v8-flags off`. */
export function v8FlagsOf(settings: Settings, shareBytes: number): readonly string[] {
  if (settings.v8Flags === 'off') return [];
  const options = settings.env['NODE_OPTIONS'] ?? process.env['NODE_OPTIONS'] ?? '';
  return v8FlagsFor({
    shareBytes,
    maxMemoryBytes: settings.maxMemoryBytes,
    // Workers run in the same binary on the same machine.
    ownLimitBytes: getHeapStatistics().heap_size_limit,
    nodeMajor: Number.parseInt(process.versions.node, 10),
    userArgs: [...settings.nodeArgs, ...options.split(/\s+/)],
  });
}

/** What control needs to know of the settings, with what they come to on this machine. */
export function policyWithin(settings: Settings, { budgetBytes, shareBytes }: Means): Policy {
  return policyOf(settings, budgetBytes, heapRoomBytes(v8FlagsOf(settings, shareBytes)));
}

/** What a worker is started with under one configuration; kept until no worker of it is left. */
import { fileURLToPath } from 'node:url';
import { resolveApp } from '../config/app.ts';
import type { Config } from '../config/load.ts';
import type { Launch } from './fleet.ts';
import { workerEnv } from './worker-env.ts';

const AGENT_PATH = fileURLToPath(new URL('../data/agent/agent.cjs', import.meta.url));

/** Reports are the heartbeat; 1 s costs a worker some 50 µs of CPU per second. */
const REPORT_INTERVAL_MS = 1000;

export function launchOf({ settings, origins }: Config): Launch {
  const port = origins.port.source === 'default' ? null : settings.port;
  // Some shells export HOST as the name of the machine: the app may read it, but it moves nobody.
  const named = origins.host.source !== 'default' && origins.host.where !== 'env HOST';
  const host = named ? settings.host : null;
  const env = workerEnv({ parent: process.env, extra: settings.env, port: settings.port, host });
  return {
    spawn: {
      app: resolveApp(settings.app, process.cwd(), { nodeArgs: settings.nodeArgs, env }),
      args: settings.args,
      nodeArgs: settings.nodeArgs,
      env,
      cwd: process.cwd(),
      agent: AGENT_PATH,
    },
    brief: {
      // Asked for by name, an address wins over whatever the app would choose by itself.
      address: port === null && host === null ? null : { port, host },
      reportIntervalMs: REPORT_INTERVAL_MS,
      warmupPath: settings.warmupPath,
      handover: settings.handover,
      orphanGraceMs: settings.drainTimeoutMs,
    },
  };
}

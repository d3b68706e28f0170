/** Several pools in one instance: a configuration file with a table for each. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunningCofferdam, SpawnOptions } from './cofferdam.ts';
import { opsUrl } from './ops.ts';
import { ECHO_APP, freePort } from './processes.ts';
import { scratchFolder } from './scratch.ts';
import { serve } from './serve.ts';

export interface RunningPools {
  readonly cofferdam: RunningCofferdam;
  readonly configFile: string;
  /** By name: `http://127.0.0.1:<port>`. */
  readonly urls: Readonly<Record<string, string>>;
  readonly ops: string;
}

export type Table = Readonly<Record<string, unknown>>;

/** A table per pool; each gets a port of its own, and runs the echo app unless it says more. */
export async function servePools(
  pools: Readonly<Record<string, Table>>,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<RunningPools> {
  const configFile = join(scratchFolder(), 'cofferdam.json');
  const tables = await withPorts(pools);
  writePools(configFile, tables);
  const flags = ['-c', configFile, '--ops', '127.0.0.1:0', ...args];
  const cofferdam = await serve(flags, { ...options, bare: true });
  const urls = Object.entries(tables).map(([name, { port }]) => [name, `http://127.0.0.1:${port}`]);
  return { cofferdam, configFile, urls: Object.fromEntries(urls), ops: await opsUrl(cofferdam) };
}

/** With all workers of all pools ready. */
export async function servePoolsReady(
  ...parameters: Parameters<typeof servePools>
): Promise<RunningPools> {
  const running = await servePools(...parameters);
  await running.cofferdam.waitForTold('all_ready', Object.keys(parameters[0]).length);
  return running;
}

export async function withPorts(
  pools: Readonly<Record<string, Table>>,
): Promise<Readonly<Record<string, Table>>> {
  const entries = Object.entries(pools).map(async ([name, table]) => {
    const app = 'app' in table || 'command' in table ? {} : { app: ECHO_APP };
    return [name, { ...app, port: await freePort(), host: '127.0.0.1', ...table }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

export function writePools(file: string, pools: Readonly<Record<string, Table>>): void {
  writeFileSync(file, JSON.stringify({ pools }, null, 2));
}

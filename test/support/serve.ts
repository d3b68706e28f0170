/** Pools for tests: each ends with its test, whatever became of it. */
import { onTestFinished } from 'vitest';
import type { ClientRun } from './client-loop.ts';
import {
  spawnCofferdam,
  type LogEvent,
  type RunningCofferdam,
  type SpawnOptions,
} from './cofferdam.ts';
import type { Status } from '../../src/control/status.ts';
import { ECHO_APP, waitUntil } from './processes.ts';
import { expectNothingLost } from './recycling.ts';
import { runCli } from './run-cli.ts';
import { failuresOf } from './tally.ts';

/** `expectNothingLost` wants more than 100. */
const ANSWERS_MIN = 100;

/** `cofferdam serve <args>`, not ready yet. */
export async function serve(
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<RunningCofferdam> {
  const pool = await spawnCofferdam(args, options);
  onTestFinished(async () => void (await pool.stop()));
  return pool;
}

/** The echo app on two workers (unless `args` say otherwise), all ready. */
export async function serveEcho(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningCofferdam> {
  const workers = args.includes('--workers') ? [] : ['--workers', '2'];
  const pool = await serve([ECHO_APP, ...workers, ...args], { env });
  await pool.waitForTold('all_ready');
  return pool;
}

/** Ends a load of which nothing was lost, but not before it was one. */
export async function stopLoad(clients: ClientRun): Promise<void> {
  const { tally } = clients;
  await waitUntil('enough answers', () => tally.ok > ANSWERS_MIN || failuresOf(tally) > 0);
  expectNothingLost(await clients.stop());
}

/** Events of the workers behind a gateway: those of the gateway have the name of its pool. */
export function workerEvents(pool: RunningCofferdam, kind: string): LogEvent[] {
  return pool.events.filter(({ event, pool: of }) => event === kind && of === undefined);
}

/** Process ids of the workers that became ready, oldest first. */
export function readyPids(pool: RunningCofferdam): number[] {
  return pool.told('worker_ready').map(({ pid }) => pid);
}

export async function statusOfPool(pool: RunningCofferdam): Promise<Status> {
  const { code, stdout, stderr } = await runCli(['status', '--json', '--name', pool.name]);
  if (code !== 0) throw new Error(`no status: ${stderr}`);
  return JSON.parse(stdout) as Status;
}

/** Connections by worker pid, once the pool has counted so many in all. */
export async function connectionsByPid(
  pool: RunningCofferdam,
  inAll: number,
): Promise<Map<number, number>> {
  let counts = new Map<number, number>();
  await waitUntil(`${inAll} connections`, async () => {
    const { workers } = await statusOfPool(pool);
    counts = new Map(workers.map(({ pid, connections }) => [pid ?? 0, connections]));
    return [...counts.values()].reduce((sum, each) => sum + each, 0) >= inAll;
  });
  return counts;
}

/** Promise 6: killing the supervisor with -9 takes the workers along, and no socket is stuck. */
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import {
  ECHO_APP,
  isAlive,
  killOne,
  processesOf,
  statusOf,
  waitUntil,
} from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { readyPids, serve, serveEcho } from '../support/serve.ts';

/** Everything that the supervisor started: workers, what they started, and the guard. */
function familyOf(pool: RunningCofferdam): number[] {
  const family = processesOf(pool.pid);
  expect(family.length).toBeGreaterThan(1);
  return family;
}

async function killSupervisor(pool: RunningCofferdam): Promise<void> {
  killOne(pool.pid);
  expect(await pool.exited).toEqual({ code: null, signal: 'SIGKILL' });
}

function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** At once, but for the last threads of a process that is a zombie already: they hold its files. */
function waitForPort(port: number): Promise<void> {
  return waitUntil('a free port', () => canBind(port), 3000);
}

describe('a supervisor killed with -9', () => {
  test('takes its workers along, and what they answer at that moment is answered', async () => {
    const pool = await serveEcho();
    const family = familyOf(pool);
    const slow = Array.from({ length: 4 }, () => statusOf(`${pool.url}/slow?ms=1500`));
    await waitUntil('requests on their way', async () => {
      const { stdout } = await runCli(['status', '--json', '--name', pool.name]);
      return [...stdout.matchAll(/"inFlight":\s*([1-9])/g)].length > 0;
    });
    await killSupervisor(pool);
    expect(await Promise.all(slow)).toEqual([200, 200, 200, 200]);
    await waitUntil('everybody gone', () => !family.some(isAlive));
  });

  test('under load frees the port at once, and the next one serves under the same name', async () => {
    const pool = await serveEcho([], { KEEP_ALIVE_MS: '1000' });
    const family = familyOf(pool);
    const clients = startClients('raw', { url: pool.url }, { paths: ['GET /slow?ms=20'] });
    await waitUntil('answers', () => clients.tally.ok > 50);
    await killSupervisor(pool);
    await waitForPort(pool.port);
    const args = [ECHO_APP, '--port', String(pool.port), '--host', '127.0.0.1'];
    const next = await serve([...args, '--name', pool.name], { bare: true });
    await next.waitForTold('all_ready');
    const { ok } = clients.tally;
    await waitUntil('answers of the next one', () => clients.tally.ok > ok + 100);
    const { hung, wrongBody, non2xx } = await clients.stop();
    expect({ hung, wrongBody, non2xx }).toEqual({ hung: 0, wrongBody: 0, non2xx: 0 });
    await waitUntil('everybody gone', () => !family.some(isAlive));
  });

  test.each([
    { name: 'ignore TERM', env: { IGNORE_TERM: '1' } },
    { name: 'block their event loop', env: { BLOCK_LOOP: '300' } },
  ])('takes workers along that $name', async ({ env }) => {
    const pool = await serveEcho(['--drain-timeout', '1s'], env);
    const family = familyOf(pool);
    if ('BLOCK_LOOP' in env) {
      // Blocked workers answer nobody; only then the test is one.
      await waitUntil('blocked workers', async () => {
        const answer = statusOf(pool.url).then(() => 'answered');
        const late = new Promise((resolve) => setTimeout(resolve, 500, 'late'));
        return (await Promise.race([answer.catch(() => 'failed'), late])) === 'late';
      });
    }
    await killSupervisor(pool);
    await waitUntil('everybody gone', () => !family.some(isAlive));
    await waitForPort(pool.port);
  });

  test.each(['1', 'block'])('takes a worker along that still boots (%s)', async (how) => {
    const pool = await serve([ECHO_APP, '--drain-timeout', '1s'], { env: { HANG_BOOT: how } });
    await waitUntil('a worker', () => processesOf(pool.pid).length > 1);
    const family = familyOf(pool);
    await killSupervisor(pool);
    await waitUntil('everybody gone', () => !family.some(isAlive));
  });

  test('in the middle of a recycle leaves neither the old worker nor the new one', async () => {
    const pool = await serveEcho(['--drain-timeout', '1s'], { BOOT_MS: '1000' });
    pool.signal('SIGUSR2');
    await waitUntil('old and new', () => {
      const strangers = processesOf(pool.pid).filter((pid) => !readyPids(pool).includes(pid));
      // The guard, and the worker that boots.
      return strangers.length > 1;
    });
    const family = familyOf(pool);
    await killSupervisor(pool);
    await waitUntil('everybody gone', () => !family.some(isAlive));
    await waitForPort(pool.port);
  });

  test('leaves a stale control socket that misleads nobody', async () => {
    const pool = await serveEcho(['--workers', '1']);
    await killSupervisor(pool);
    const status = await runCli(['status', '--name', pool.name]);
    expect(status.code).toBe(1);
    expect(status.stderr).toMatch(/no running Cofferdam has the name.*\n.*\[COF_NOT_RUNNING\]/);
  });
});

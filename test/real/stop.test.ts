/** The end: graceful, or now, but always by its deadline, with nothing left and told what it cut. */
import { Agent, get } from 'node:http';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import {
  answers,
  ECHO_APP,
  isAlive,
  processesOf,
  statusOf,
  waitUntil,
} from '../support/processes.ts';
import { expectNothingLost } from '../support/recycling.ts';
import { readyPids, serve, serveEcho, statusOfPool } from '../support/serve.ts';
import { failuresOf } from '../support/tally.ts';

/** Nothing that it started lives on, and nobody listens. */
async function expectEnd(pool: RunningCofferdam, code: number, family: readonly number[]) {
  expect(await pool.exited).toEqual({ code, signal: null });
  // The guard, a shell, goes when it hears that its supervisor has gone.
  await waitUntil('nobody is left', () => !family.some(isAlive), 5000);
  expect(pool.workers()).toEqual([]);
  expect(await answers(pool.port)).toBe(false);
}

/** Requests that are being served, on a connection of their own each; status or error code. */
async function startSlow(pool: RunningCofferdam, count: number, ms: number) {
  const slow = Array.from({ length: count }, () =>
    statusOf(`${pool.url}/slow?ms=${ms}`).catch((error: NodeJS.ErrnoException) => error.code),
  );
  await waitUntil('requests in flight', async () => {
    const { workers } = await statusOfPool(pool);
    return workers.reduce((sum, { inFlight }) => sum + inFlight, 0) >= count;
  });
  return { ends: Promise.all(slow) };
}

describe('a graceful stop', () => {
  test.each(['SIGTERM', 'SIGQUIT', 'SIGINT'] as const)(
    'by %s answers what is in flight and refuses the rest',
    async (signal) => {
      const pool = await serveEcho();
      const family = processesOf(pool.pid);
      const clients = startClients(
        'agent-close',
        { url: pool.url },
        { clients: 4, paths: ['GET /'] },
      );
      await waitUntil('answers', () => clients.tally.ok > 20);
      const slow = await startSlow(pool, 6, 5000);
      pool.signal(signal);
      await pool.waitForTold('stopping');
      await waitUntil('a refused client', () => clients.tally.refused > 0);
      // At once, and not at the end of the drain.
      expect(isAlive(pool.pid)).toBe(true);
      expect(await slow.ends).toEqual(Array(6).fill(200));
      await expectEnd(pool, 0, family);
      const tally = await clients.stop();
      // Whoever comes afterwards hears it at once; nobody is left without an answer.
      expect(failuresOf(tally)).toBe(tally.refused + tally.reset);
      expect(tally.reset).toBeLessThanOrEqual(4);
      expect(pool.told('worker_crashed')).toEqual([]);
      expect(pool.told('worker_killed')).toEqual([]);
    },
  );

  test('loses nothing of keep-alive clients whose last request is on its way', async () => {
    const pool = await serveEcho();
    const family = processesOf(pool.pid);
    const paths = ['GET /slow?ms=300', 'POST /upload', 'GET /download?bytes=200000&ms=20'];
    const clients = startClients('raw', { url: pool.url }, { thinkMs: 0, paths });
    await waitUntil('answers', () => clients.tally.ok > 100);
    const ended = clients.stop();
    pool.signal('SIGTERM');
    expectNothingLost(await ended);
    await expectEnd(pool, 0, family);
  });

  test('waits for idle keep-alive connections no longer than their timeout', async () => {
    const pool = await serveEcho([], { KEEP_ALIVE_MS: '700' });
    const family = processesOf(pool.pid);
    const agent = new Agent({ keepAlive: true });
    await new Promise((resolve) =>
      get(pool.url, { agent }, (got) => got.resume().on('end', resolve)),
    );
    pool.signal('SIGTERM');
    await expectEnd(pool, 0, family);
    agent.destroy();
    expect(pool.told('drain_deadline')).toEqual([]);
  });

  test('while the first worker boots does not wait for it', async () => {
    const pool = await serve([ECHO_APP, '--workers', '2'], { env: { HANG_BOOT: '1' } });
    await waitUntil('a worker that boots', () => processesOf(pool.pid).length > 1);
    const family = processesOf(pool.pid);
    pool.signal('SIGTERM');
    await expectEnd(pool, 0, family);
  });

  test('during a recycle ends old and new', async () => {
    const pool = await serveEcho([], { BOOT_MS: '700' });
    const slow = await startSlow(pool, 4, 3000);
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycle_started');
    await waitUntil('a new worker', () => processesOf(pool.pid).length > 3);
    const family = processesOf(pool.pid);
    pool.signal('SIGTERM');
    await expectEnd(pool, 0, family);
    expect(await slow.ends).toEqual(Array(4).fill(200));
  });

  test('that runs out of time says what it cut, and exits with 5', async () => {
    const pool = await serveEcho(['--drain-timeout', '700ms']);
    const family = processesOf(pool.pid);
    const slow = await startSlow(pool, 3, 60_000);
    pool.signal('SIGTERM');
    await expectEnd(pool, 5, family);
    expect(await slow.ends).toEqual(Array(3).fill('ECONNRESET'));
    const late = pool.events.find(({ event }) => event === 'stopped_late');
    expect(late).toMatchObject({ cutRequests: 3, cutLongLived: 0, killed: 0 });
    expect(pool.told('drain_deadline').reduce((sum, { inFlight }) => sum + inFlight, 0)).toBe(3);
  });

  test('with a worker that ignores TERM kills it, and exits with 5', async () => {
    const pool = await serveEcho(['--kill-timeout', '300ms'], { IGNORE_TERM: '1' });
    const family = processesOf(pool.pid);
    pool.signal('SIGTERM');
    await expectEnd(pool, 5, family);
    const late = pool.events.find(({ event }) => event === 'stopped_late');
    expect(late).toMatchObject({ cutRequests: 0, killed: 2 });
    expect(pool.told('worker_killed')[0]?.why).toBe('did not leave within 0.3s after SIGTERM');
  });

  test('ends by its deadline although every worker is blocked', async () => {
    const args = ['--drain-timeout', '500ms', '--kill-timeout', '300ms'];
    const pool = await serveEcho(args, { BLOCK_LOOP: '200', IGNORE_TERM: '1' });
    const family = processesOf(pool.pid);
    await waitUntil('blocked workers', async () => {
      const late = new Promise((resolve) => setTimeout(resolve, 500, 'late'));
      const answer = statusOf(pool.url).catch(() => 0);
      return (await Promise.race([answer, late])) === 'late';
    });
    pool.signal('SIGTERM');
    await expectEnd(pool, 5, family);
    expect(readyPids(pool).some(isAlive)).toBe(false);
  });
});

describe('a stop now', () => {
  test('by the second Ctrl-C cuts everything and exits with 130', async () => {
    const pool = await serveEcho();
    const family = processesOf(pool.pid);
    const slow = await startSlow(pool, 3, 60_000);
    pool.signal('SIGINT');
    await pool.waitForTold('stopping');
    pool.signal('SIGINT');
    await expectEnd(pool, 130, family);
    expect(await slow.ends).toEqual(Array(3).fill('ECONNRESET'));
    expect(pool.told('stopping').map(({ mode }) => mode)).toEqual(['graceful', 'now']);
  });

  test('while the first worker boots', async () => {
    const pool = await serve([ECHO_APP], { env: { HANG_BOOT: 'block' } });
    await waitUntil('a worker that boots', () => processesOf(pool.pid).length > 1);
    const family = processesOf(pool.pid);
    pool.signal('SIGINT');
    pool.signal('SIGINT');
    const { code } = await pool.exited;
    // Two signals that arrive as one are one.
    expect([0, 130]).toContain(code);
    expect(family.filter(isAlive)).toEqual([]);
  });
});

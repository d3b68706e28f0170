/** A blocked event loop is replaced; a supervisor that did not run itself blames nobody. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import { isAlive, killOne, statusOf, waitUntil } from '../support/processes.ts';
import { expectNothingLost } from '../support/recycling.ts';
import { connectionsByPid, readyPids, serveEcho } from '../support/serve.ts';
import { failureClasses, failuresOf, NO_FAILURES } from '../support/tally.ts';

const ARGS = ['--unresponsive-timeout', '3s', '--kill-timeout', '500ms'];
const CLIENTS = 8;

describe('a blocked event loop', { timeout: 60_000 }, () => {
  test.each([
    { name: 'TERM ends it', env: {}, killed: false },
    {
      name: 'TERM is handled in JavaScript, so KILL ends it',
      env: { IGNORE_TERM: '1' },
      killed: true,
    },
  ])('is noticed from outside and replaced first ($name)', async ({ env, killed }) => {
    const pool = await serveEcho(ARGS, env);
    const clients = startClients('raw', { url: pool.url }, { clients: CLIENTS, thinkMs: 20 });
    const held = await connectionsByPid(pool, CLIENTS);
    const blocked = statusOf(`${pool.url}/block?ms=600000`).catch((error: Error) => error.message);
    await pool.waitForTold('recycled');
    const tally = await clients.stop();
    expect(await blocked).toMatch(/socket hang up|ECONNRESET/);

    const [unresponsive] = pool.told('unresponsive');
    expect(unresponsive?.silentMs).toBeGreaterThanOrEqual(3000);
    expect(unresponsive?.silentMs).toBeLessThan(6000);
    const pid = unresponsive?.pid ?? 0;
    expect(pool.told('recycled')).toMatchObject([{ reason: 'unresponsive', killed, limit: '3s' }]);
    expect(isAlive(pid)).toBe(false);
    expect(failureClasses(tally)).toEqual({
      ...NO_FAILURES,
      reset: failuresOf(tally),
      notes: tally.notes,
    });
    expect(failuresOf(tally)).toBeLessThanOrEqual(held.get(pid) ?? 0);
    const order = pool.events.map(({ event }) => event);
    expect(order.lastIndexOf('worker_ready')).toBeLessThan(order.indexOf('recycled'));
  });
});

describe('a supervisor that is suspended', { timeout: 60_000 }, () => {
  // One is longer than the timeout by itself, the other one only with what was silent before it.
  test.each([7000, 2800])('for %i ms blames nobody, and the workers serve on', async (ms) => {
    const pool = await serveEcho(ARGS);
    const before = readyPids(pool);
    const clients = startClients('agent', { url: pool.url });
    await waitUntil('answers', () => clients.tally.ok > 50);
    killOne(pool.pid, 'SIGSTOP');
    await sleep(ms);
    const meanwhile = clients.tally.ok;
    killOne(pool.pid, 'SIGCONT');
    expect(meanwhile).toBeGreaterThan(100);
    await pool.waitForTold('suspended');
    // The proof that somebody is blamed would come within two reports.
    await sleep(2500);
    expectNothingLost(await clients.stop());
    expect(pool.told('unresponsive')).toEqual([]);
    expect(pool.told('worker_killed')).toEqual([]);
    expect(readyPids(pool)).toEqual(before);
    expect(before.every(isAlive)).toBe(true);
    const gap = pool.told('suspended')[0]?.gapMs ?? 0;
    expect(gap).toBeGreaterThanOrEqual(ms - 1500);
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled', 2);
  });
});

/** A blocked event loop is noticed from outside and replaced. */
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import { isAlive, statusOf } from '../support/processes.ts';
import { connectionsByPid, serveEcho } from '../support/serve.ts';
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

/** A supervisor that did not run itself (a laptop's lid, a paused VM) blames nobody for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import { isAlive, killOne, waitUntil } from '../support/processes.ts';
import { readyPids, serveEcho, stopLoad } from '../support/serve.ts';

const ARGS = ['--unresponsive-timeout', '3s', '--kill-timeout', '500ms'];

/** A minute is long: it must not take the machine from the tests beside it. */
const LIGHT = { clients: 2, thinkMs: 10 };

describe('a supervisor that is suspended', { timeout: 120_000 }, () => {
  // One is longer than any timeout by itself, the other one only with what was silent before it.
  test.each([60_000, 2800])('for %i ms blames nobody, and the workers serve on', async (ms) => {
    const pool = await serveEcho(ARGS);
    const before = readyPids(pool);
    const clients = startClients('agent', { url: pool.url }, LIGHT);
    await waitUntil('answers', () => clients.tally.ok > 50);
    killOne(pool.pid, 'SIGSTOP');
    await sleep(ms);
    const meanwhile = clients.tally.ok;
    killOne(pool.pid, 'SIGCONT');
    expect(meanwhile).toBeGreaterThan(100);
    await pool.waitForTold('suspended');
    // The proof that somebody is blamed would come within two reports.
    await sleep(2500);
    await stopLoad(clients);
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

/** WebSockets and event streams outlive a drain under a deadline of their own, and are told first. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import {
  startEventReaders,
  startWebSockets,
  type LongLivedRun,
} from '../support/long-lived-clients.ts';
import {
  expectCleanRecycles,
  expectNothingLost,
  recycleTimes,
  RECYCLE_TEST_MS,
} from '../support/recycling.ts';
import { serveEcho } from '../support/serve.ts';

type Start = (url: string) => LongLivedRun;

describe.each<[string, Start]>([
  ['WebSockets', startWebSockets],
  ['event streams', startEventReaders],
])('%s', { timeout: RECYCLE_TEST_MS }, (_name, start) => {
  test('lose no message in 50 recycles when the app says goodbye', async () => {
    const pool = await serveEcho([], { POLITE: '1' });
    const longLived = start(pool.url);
    const requests = startClients('agent', { url: pool.url }, { clients: 4 });
    const recycles = await recycleTimes(pool);
    expectNothingLost(await requests.stop());
    expectNothingLost(await longLived.stop());
    expectCleanRecycles(recycles);
    expect(recycles.every(({ cutLongLived }) => cutLongLived === 0)).toBe(true);
    expect(longLived.goodbyes).toBeGreaterThan(0);
  });

  test('outlive the drain deadline of requests, and are cut at their own', async () => {
    const deadlines = ['--drain-timeout', '500ms', '--long-drain-timeout', '3s'];
    const pool = await serveEcho(deadlines);
    const longLived = start(pool.url);
    await sleep(1000);
    const before = longLived.tally.ok;
    const recycles = await recycleTimes(pool, 2);
    await longLived.stop();
    // The kernel may have given all of them to the worker that is recycled second.
    const first = recycles.find(({ cutLongLived }) => Number(cutLongLived) > 0);
    expect(first?.['drainMs']).toBeGreaterThan(2900);
    expect(first?.['drainMs']).toBeLessThan(15_000);
    expect(longLived.tally.ok).toBeGreaterThan(before + 20);
  });
});

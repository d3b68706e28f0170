/** A pool that follows its load, with a load that one event loop cannot carry. */
import { expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import { serveSource } from '../support/inline-app.ts';
import { waitUntil } from '../support/processes.ts';
import { serveEcho, statusOfPool, stopLoad } from '../support/serve.ts';

/** Waits a moment, then needs the event loop for itself: more of them at once only queue. */
const APP = `
  require('node:http').createServer((_, response) => setTimeout(() => {
    for (const end = performance.now() + 20; performance.now() < end; );
    response.end(String(process.pid));
  }, 5)).listen(process.env.PORT);`;
const CLIENTS = 12;
const TEST_MS = 60_000;

test('grows under load, serves with all, and shrinks after it', { timeout: TEST_MS }, async () => {
  const scaling = ['--strategy', 'dynamic', '--workers', '1..3', '--spare', '0'];
  const pool = await serveSource(APP, [...scaling, '--idle-timeout', '2s']);
  const size = (): number => pool.told('scaled').at(-1)?.to ?? 1;
  const over = new AbortController();
  const served = new Set<string>();
  const client = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const response = await fetch(pool.url, { headers: { connection: 'close' } });
      expect(response.status).toBe(200);
      served.add(await response.text());
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);
  await waitUntil('three workers', () => size() === 3);
  await waitUntil('answers from all', () => served.size === 3);
  over.abort();
  await Promise.all(clients);
  await waitUntil('one worker', () => size() === 1);
  expect(new Set(pool.told('scaled').map(({ why }) => why))).toEqual(new Set(['demand', 'idle']));
  await waitUntil('the others gone', async () => (await statusOfPool(pool)).workers.length === 1);
});

test(
  'TTIN adds a worker, TTOU sends one away, within the bounds',
  { timeout: TEST_MS },
  async () => {
    const pool = await serveEcho(['--workers', '1..2']);
    const clients = startClients('agent', { url: pool.url }, { clients: 2 });
    pool.signal('SIGTTIN');
    await pool.waitForTold('worker_ready', 2);
    // One more would be above the bound: the next thing that happens is the worker that goes.
    pool.signal('SIGTTIN');
    await waitUntil('both are heard', async () => (await statusOfPool(pool)).workers.length === 2);
    pool.signal('SIGTTOU');
    await waitUntil('one worker', async () => (await statusOfPool(pool)).workers.length === 1);
    await stopLoad(clients);
    expect(pool.told('scaled').map(({ from, to, why }) => `${from} ${to} ${why}`)).toEqual([
      '1 2 asked',
      '2 1 asked',
    ]);
  },
);

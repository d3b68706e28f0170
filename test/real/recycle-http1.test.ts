/** Promise 1: no request is dropped by a recycle, whatever HTTP/1.1 client asks. */
import { describe, expect, test } from 'vitest';
import { startClients, type ClientKind } from '../support/clients.ts';
import { runWrk } from '../support/load-tools.ts';
import { NASTY_HABITS, startNastyClients } from '../support/nasty-client.ts';
import { startNginx } from '../support/nginx.ts';
import {
  expectCleanRecycles,
  expectMakeBeforeBreak,
  expectNothingLost,
  recycleTimes,
  recycleUnder,
  RECYCLE_TEST_MS,
  RECYCLES,
} from '../support/recycling.ts';
import { serveEcho } from '../support/serve.ts';
import type { Tally } from '../support/tally.ts';
import { lacks } from '../support/tools.ts';

describe('50 recycles lose nothing', { timeout: RECYCLE_TEST_MS }, () => {
  const kinds: readonly ClientKind[] = [
    'raw',
    'raw-close',
    'agent',
    'agent-close',
    'undici',
    'undici-close',
    'fetch',
    'fetch-close',
  ];
  test.each(kinds)('with %s', async (kind) => {
    const pool = await serveEcho();
    const clients = startClients(kind, { url: pool.url });
    const recycles = await recycleTimes(pool);
    expectNothingLost(await clients.stop());
    expectCleanRecycles(recycles);
    expectMakeBeforeBreak(pool.events);
  });

  test('with keep-alive connections that are handed over, not closed', async () => {
    const pool = await serveEcho();
    const clients = startClients('raw', { url: pool.url }, { clients: 32, thinkMs: 20 });
    const recycles = await recycleTimes(pool);
    const tally = await clients.stop();
    expectNothingLost(tally);
    const moved = recycles.reduce((sum, { moved }) => sum + Number(moved), 0);
    expect(moved).toBeGreaterThan(RECYCLES);
    expect(tally.workers.size).toBeGreaterThan(RECYCLES / 2);
  });

  test.each<[string, readonly string[], Readonly<Record<string, string>>]>([
    ['it is switched off', ['--no-handover'], {}],
    ['this Node cannot do it', [], { NO_IDLE_LIST: '1' }],
  ])('with the plain drain where no connection is handed over: %s', async (_, args, env) => {
    const pool = await serveEcho(args, env);
    const clients = startClients('agent', { url: pool.url });
    const recycles = await recycleTimes(pool);
    expectNothingLost(await clients.stop());
    expectCleanRecycles(recycles);
    expect(recycles.every(({ moved }) => moved === 0)).toBe(true);
  });

  test('with a client that does everything that is allowed', async () => {
    const pool = await serveEcho();
    const clients = startNastyClients({ url: pool.url }, { clients: NASTY_HABITS.length * 3 });
    const recycles = await recycleTimes(pool);
    expectNothingLost(await clients.stop());
    expectCleanRecycles(recycles);
  });

  test('with uploads and downloads in flight that outlast a recycle', async () => {
    const pool = await serveEcho();
    const paths = ['GET /download?bytes=400000&ms=15', 'POST /upload', 'GET /slow?ms=400'];
    const clients = startClients(
      'agent',
      { url: pool.url },
      { clients: 24, paths, bodyBytes: 300_000 },
    );
    const recycles = await recycleTimes(pool);
    expectNothingLost(await clients.stop());
    expectCleanRecycles(recycles);
  });

  test.skipIf(lacks('wrk')).each([false, true])('with wrk, close: %s', async (close) => {
    const pool = await serveEcho();
    const url = `${pool.url}/?id=1`;
    const load = (): Promise<Tally> => runWrk({ url, seconds: 3, connections: 32, close });
    const { tally, recycles } = await recycleUnder(pool, load);
    expectNothingLost(tally);
    expectCleanRecycles(recycles);
  });

  test.skipIf(lacks('nginx')).each<[string, ClientKind, boolean]>([
    ['upstream keep-alive', 'agent', true],
    ['a connection for each request', 'agent-close', false],
  ])('behind nginx with POSTs and %s', async (_, kind, keepAlive) => {
    const pool = await serveEcho();
    const nginx = await startNginx(pool.port, keepAlive);
    try {
      const clients = startClients(kind, { url: nginx.url }, { clients: 24 });
      const recycles = await recycleTimes(pool);
      expectNothingLost(await clients.stop());
      expect(nginx.errors()).not.toMatch(/upstream/);
      expectCleanRecycles(recycles);
    } finally {
      await nginx.stop();
    }
  });
});

/** The open-loop load: its schedule, its limits, and that it notices every way to fail. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { FAILURE_CLASSES, type FailureClass } from '../../src/leak/load-request.ts';
import { startLoad, type LoadOptions } from '../../src/leak/load.ts';
import { freePort, startBareApp } from '../support/processes.ts';

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

test('sends every request of the count, and the mix by weight', async () => {
  const seen = new Map<string, number>();
  const url = await listen((request, response) => {
    seen.set(String(request.url), (seen.get(String(request.url)) ?? 0) + 1);
    response.end();
  });
  const requests = [{ path: '/often', weight: 3 }, { path: '/seldom' }];
  const result = await startLoad({ url, ratePerSecond: 1_000, totalRequests: 200, requests })
    .finished;
  expect(result).toMatchObject({ ok: 200, failed: 0, outstanding: 0, backlog: 0, notes: [] });
  expect(Object.fromEntries(seen)).toEqual({ '/often': 150, '/seldom': 50 });
});

test('ends by time, with as many requests as were due', async () => {
  const url = await listen((_, response) => response.end());
  const result = await startLoad({
    url,
    ratePerSecond: 200,
    durationMs: 500,
    requests: [{ path: '/' }],
  }).finished;
  expect(result.ok).toBe(100);
  expect(result.elapsedMs).toBeGreaterThan(490);
});

test('latency counts from when a request was due: all that a stall held up show it', async () => {
  // Closed loop would show one slow request of 600 ms; 30 % of the arrivals really waited.
  let count = 0;
  const url = await listen((_, response) => {
    count += 1;
    if (count === 50) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
    response.end();
  });
  const result = await startLoad({
    url,
    ratePerSecond: 100,
    totalRequests: 200,
    requests: [{ path: '/' }],
  }).finished;
  expect(result.latency.maxMs).toBeGreaterThan(590);
  expect(result.latency.p90Ms).toBeGreaterThan(250);
});

test('keeps to maxOutstanding, and says what was never sent', async () => {
  const url = await listen(() => {});
  const result = await startLoad({
    url,
    ratePerSecond: 100,
    totalRequests: 50,
    durationMs: 300,
    timeoutMs: 400,
    maxOutstanding: 4,
    requests: [{ path: '/' }],
  }).finished;
  expect(result.failures.hung).toBeGreaterThanOrEqual(4);
  expect(result.backlog).toBeGreaterThan(0);
  expect(result.failed + result.backlog).toBe(30);
});

test('stop waits for the answers that are owed', async () => {
  const url = await listen((_, response) => void setTimeout(() => response.end(), 100));
  const load = startLoad({ url, ratePerSecond: 100, requests: [{ path: '/' }] });
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(load.snapshot().outstanding).toBeGreaterThan(0);
  const result = await load.stop();
  expect(result).toMatchObject({ outstanding: 0, backlog: 0 });
  expect(result.ok).toBeGreaterThan(10);
  expect(result.failed).toBe(0);
});

test.each([true, false])('checks answers of a real app, keep-alive %s', async (keepAlive) => {
  const app = await startBareApp();
  try {
    const result = await startLoad({
      url: `http://127.0.0.1:${app.port}`,
      ratePerSecond: 200,
      totalRequests: 100,
      keepAlive,
      requests: [
        {
          method: 'POST',
          path: '/upload?id={id}',
          body: 'hello',
          verify: (answer, id) => answer.body.toString().startsWith(`id=${id} hash=aaf4c61ddcc5`),
        },
      ],
    }).finished;
    expect(result).toMatchObject({ ok: 100, failed: 0 });
  } finally {
    await app.stop();
  }
});

const FAULTS: Partial<Record<FailureClass, RequestListener>> = {
  reset: (request) => void request.socket.resetAndDestroy(),
  hung: () => {},
  timeout: (_, response) => void response.writeHead(200, { 'content-length': 9 }).write('begun'),
  wrong_body: (_, response) => void response.end('an answer to somebody else'),
  non_2xx: (_, response) => void response.writeHead(503).end(),
};

test.each(Object.entries(FAULTS))('counts %s', async (failure, listener) => {
  await expectFailure(await listen(listener), failure as FailureClass);
});

test('counts refused', async () => {
  await expectFailure(`http://127.0.0.1:${await freePort()}`, 'refused');
});

test.each([
  ['a host elsewhere', { url: 'http://example.com' }],
  ['a host that only looks local', { url: 'http://127.0.0.1.example.com' }],
  ['another protocol', { url: 'ftp://127.0.0.1' }],
  ['no rate', { ratePerSecond: 0 }],
  ['a rate out of reach', { ratePerSecond: 1e9 }],
  ['no request', { requests: [] }],
  ['too many at once', { maxOutstanding: 100_000 }],
])('refuses %s', (_, wrong: Partial<LoadOptions>) => {
  const right = { url: 'http://127.0.0.1:1', ratePerSecond: 1, requests: [{ path: '/' }] };
  expect(() => startLoad({ ...right, ...wrong })).toThrow(
    expect.objectContaining({ code: 'COF_BAD_VALUE' }),
  );
});

// --- internal ---

async function listen(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function expectFailure(url: string, failure: FailureClass): Promise<void> {
  const result = await startLoad({
    url,
    ratePerSecond: 100,
    totalRequests: 10,
    timeoutMs: 300,
    requests: [{ path: '/', verify: () => false }],
  }).finished;
  const none = Object.fromEntries(FAILURE_CLASSES.map((name) => [name, 0]));
  expect(result.failures).toEqual({ ...none, [failure]: 10 });
  expect(result.ok).toBe(0);
  expect(result.notes[0]).toContain(failure);
}

/** Real services of other languages behind the gateway, and nginx in front of it. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import { startEventReaders } from '../support/long-lived-clients.ts';
import { startNginx } from '../support/nginx.ts';
import { openConnection } from '../support/http1-connection.ts';
import { failureClasses, NO_FAILURES } from '../support/tally.ts';
import { findTool, lacks } from '../support/tools.ts';
import { waitUntil } from '../support/processes.ts';
import { replaceWorker, startGateway, type WorkerOptions } from './harness.ts';

const APPS = fileURLToPath(new URL('../apps', import.meta.url));
/** `scripts/setup.mjs` builds it. */
const GO_SERVICE = `${APPS}/go/.cache/service`;

const PATHS = ['GET /', 'POST /upload', 'GET /slow?ms=10', 'GET /download?bytes=40000'];

const go: WorkerOptions = { command: (socket) => [GO_SERVICE, socket] };
const asgi: WorkerOptions = {
  command: (socket) => [
    findTool('uvicorn') ?? 'uvicorn',
    'echo_asgi:app',
    `--app-dir=${APPS}/python`,
    `--uds=${socket}`,
    '--log-level=critical',
  ],
};
const wsgi: WorkerOptions = {
  command: () => [findTool('python3') ?? 'python3', `${APPS}/python/echo_wsgi.py`],
  tcp: true,
  // It serves one at a time and has a backlog of five: who waits, waits with us.
  concurrency: 1,
};

async function replaceUnderLoad(
  options: WorkerOptions,
  paths: readonly string[],
  rounds = 2,
): Promise<void> {
  const gateway = await startGateway();
  let worker = await gateway.join(options);
  const clients = startClients('undici', gateway, { clients: 8, paths });
  for (let round = 0; round < rounds; round += 1) {
    const { ok } = clients.tally;
    await waitUntil('answers', () => clients.tally.ok > ok + 30);
    worker = await replaceWorker(gateway, worker, options);
  }
  const tally = await clients.stop();
  expect(failureClasses(tally)).toEqual(NO_FAILURES);
  expect(tally.workers.size).toBeGreaterThanOrEqual(rounds);
}

describe.skipIf(lacks('go') && !existsSync(GO_SERVICE))('a Go service', () => {
  test('is replaced under load without a loss', () => replaceUnderLoad(go, PATHS));

  test('streams events and sends trailers', async () => {
    const gateway = await startGateway();
    await gateway.join(go);
    const readers = startEventReaders(gateway.url, 2);
    await waitUntil('events', () => readers.tally.ok > 5);
    expect(failureClasses(await readers.stop())).toEqual(NO_FAILURES);
    const { socket } = openConnection(gateway);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.write('GET /trailer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    await waitUntil('the trailer', () => /body[^]*\r\nX-Sum: 12\r\n/.test(text));
    socket.destroy();
  });
});

describe.skipIf(lacks('uvicorn'))('a Python ASGI service', () => {
  test('is replaced under load without a loss', () => replaceUnderLoad(asgi, PATHS));
});

describe.skipIf(lacks('python3'))('a Python WSGI service', () => {
  test('that serves one request at a time is replaced under load without a loss', () =>
    replaceUnderLoad(wsgi, ['GET /', 'POST /upload']));
});

describe.skipIf(lacks('nginx'))('nginx in front', () => {
  test('sees no failure while workers are replaced', async () => {
    const gateway = await startGateway({ trustedProxies: ['127.0.0.1'] });
    let worker = await gateway.join();
    const nginx = await startNginx(gateway.port);
    try {
      const clients = startClients('raw', nginx, { clients: 8 });
      for (let round = 0; round < 3; round += 1) {
        const { ok } = clients.tally;
        await waitUntil('answers', () => clients.tally.ok > ok + 50);
        worker = await replaceWorker(gateway, worker);
      }
      expect(failureClasses(await clients.stop())).toEqual(NO_FAILURES);
      expect(nginx.errors()).not.toMatch(/upstream/);
    } finally {
      await nginx.stop();
    }
  });
});

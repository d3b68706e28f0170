/** The clients themselves: they are trusted to notice every failure, so each must be shown to. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, describe, expect, test } from 'vitest';
import { startClients, type ClientKind } from './clients.ts';
import { startNastyClients } from './nasty-client.ts';
import { freePort, startBareApp, waitUntil } from './processes.ts';
import { failureClasses, NO_FAILURES, type FailureClass } from './tally.ts';

const HTTP_KINDS: readonly ClientKind[] = [
  'raw',
  'raw-close',
  'agent',
  'agent-close',
  'undici',
  'undici-close',
  'fetch',
  'fetch-close',
];
const TLS_KINDS: readonly ClientKind[] = ['https', 'https-close', 'http2'];
/** Enough for each client to take every path of the mix. */
const ENOUGH = 100;

describe('on a healthy server', () => {
  for (const kind of [...HTTP_KINDS, ...TLS_KINDS]) {
    test(`${kind}: all is well`, async () => {
      const protocol = kind === 'http2' ? 'http2' : TLS_KINDS.includes(kind) ? 'https' : 'http';
      const app = await startBareApp({ PROTOCOL: protocol });
      const scheme = protocol === 'http' ? 'http' : 'https';
      const run = startClients(kind, { url: `${scheme}://127.0.0.1:${app.port}` });
      try {
        await waitUntil('requests', () => run.tally.ok >= ENOUGH);
        expect(failureClasses(await run.stop())).toEqual(NO_FAILURES);
        expect([...run.tally.workers]).toEqual([app.pid]);
      } finally {
        await run.stop();
        await app.stop();
      }
    });
  }

  test.each([
    ['agent', true],
    ['agent-close', false],
    ['undici', true],
    ['undici-close', false],
    ['fetch', true],
    ['fetch-close', false],
  ] as const)('%s: a connection for many requests: %s', async (kind, isKept) => {
    let connections = 0;
    let requests = 0;
    const server = createServer((_, response) => {
      requests += 1;
      response.end();
    });
    server.on('connection', () => (connections += 1));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const run = startClients(kind, { url: `http://127.0.0.1:${port}` }, { clients: 2 });
    try {
      await waitUntil('requests', () => requests >= ENOUGH);
    } finally {
      await run.stop();
      server.close();
    }
    if (isKept) expect(connections).toBeLessThanOrEqual(requests / 10);
    else expect(connections).toBe(requests);
  });

  test('nasty: all is well', async () => {
    const app = await startBareApp();
    const run = startNastyClients({ url: `http://127.0.0.1:${app.port}` });
    try {
      await waitUntil('requests', () => run.tally.ok >= ENOUGH);
      expect(failureClasses(await run.stop())).toEqual(NO_FAILURES);
    } finally {
      await run.stop();
      await app.stop();
    }
  });
});

describe('on a faulty server', () => {
  let server: Server | undefined;

  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    server = undefined;
  });

  const kinds = [...HTTP_KINDS, 'nasty'] as const;

  for (const [failure, listener] of Object.entries(faults())) {
    for (const kind of kinds) {
      test(`${kind} counts ${failure}`, async () => {
        server = createServer(listener);
        await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done));
        const { port } = server.address() as AddressInfo;
        await expectFailure(kind, port, failure as FailureClass);
      });
    }
  }

  for (const kind of kinds) {
    test(`${kind} counts refused`, async () => {
      await expectFailure(kind, await freePort(), 'refused');
    });
  }
});

// --- internal ---

async function expectFailure(
  kind: ClientKind | 'nasty',
  port: number,
  failure: FailureClass,
): Promise<void> {
  const target = { url: `http://127.0.0.1:${port}` };
  const options = { clients: 2, patienceMs: 300, paths: ['GET /'] };
  const run =
    kind === 'nasty'
      ? startNastyClients(target, { ...options, habits: ['split-head'] })
      : startClients(kind, target, options);
  try {
    await waitUntil(`one ${failure}`, () => run.tally[failure] > 0, 5_000);
  } finally {
    await run.stop();
  }
  expect(failureClasses(run.tally)).toEqual({
    ...NO_FAILURES,
    [failure]: run.tally[failure],
    notes: run.tally.notes,
  });
  expect(run.tally.ok).toBe(0);
}

function faults(): Partial<Record<FailureClass, RequestListener>> {
  return {
    reset: (request) => void request.socket.resetAndDestroy(),
    hung: () => {},
    timeout: (_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('a beginning');
    },
    wrongBody: (_, response) => void response.end('an answer to somebody else'),
    non2xx: (_, response) => {
      response.statusCode = 503;
      response.end('go away');
    },
  };
}

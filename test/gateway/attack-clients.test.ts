/** Clients that are gone, idle or do not read hold neither a worker nor a descriptor for ever. */
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { request } from 'undici';
import { createSecureFront } from '../../src/data/gateway/front.ts';
import { refuse } from '../../src/data/gateway/refuse.ts';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  PREFACE,
  requestBlock,
} from '../support/http2-frames.ts';
import { waitUntil } from '../support/processes.ts';
import { startGateway, type TestGateway } from './harness.ts';
import { askHttp2, descriptorsOf, joinServer, openSession, send, TLS } from './peers.ts';

const HOST = 'Host: a\r\n';
/** Until a session is given up of which Node 20 tells nothing: 30 s. Later Nodes tell at once. */
const NODE_20_MS = 60_000;
const LARGE_BYTES = 20 * 1024 * 1024;

async function expectNothingHeld(gateway: TestGateway): Promise<void> {
  await gateway.hear('report', ({ report }) => report.inFlight === 0);
}

describe('clients that leave amid an upgrade', () => {
  test.each([
    ['with a body', 'Content-Length: 3\r\n\r\n'],
    ['without one', '\r\n'],
  ])('%s: their worker is free again, their descriptor closed', async (_, rest) => {
    const gateway = await startGateway();
    await joinServer(
      gateway,
      ({ url }, response) => {
        if (url === '/now') response.end('now');
      },
      { concurrency: 1 },
    );
    const before = descriptorsOf(gateway);
    for (let index = 0; index < 100; index += 1) {
      const { socket } = send(
        gateway.port,
        `POST /a HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: x\r\n${rest}`,
      );
      await once(socket, 'connect');
      socket.end();
      setTimeout(() => socket.destroy(), 20);
    }
    const { statusCode, body } = await request(`${gateway.url}/now`);
    expect([statusCode, await body.text()]).toEqual([200, 'now']);
    await expectNothingHeld(gateway);
    await waitUntil('descriptors are closed', () => descriptorsOf(gateway) <= before + 4);
  });
});

test('pipelined requests do not outlive their connection', async () => {
  const gateway = await startGateway();
  await joinServer(gateway, ({ url }, response) => {
    if (url !== '/hang') response.end('x');
  });
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`;
  const post = `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\nx`;
  const { socket } = send(gateway.port, get('/hang') + get('/') + post + get('/hang'));
  await gateway.hear('report', ({ report }) => report.inFlight === 4);
  socket.destroy();
  await expectNothingHeld(gateway);
});

test.each([
  ['garbage', 'no http\r\n\r\n'],
  ['CONNECT', `CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`],
  ['an upgrade', `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: x\r\n\r\n`],
])('with %s behind its request a client that leaves is noticed', async (_, behind) => {
  const gateway = await startGateway();
  await joinServer(gateway, () => undefined);
  const { socket } = send(gateway.port, `GET /hang HTTP/1.1\r\n${HOST}\r\n${behind}`);
  await gateway.hear('report', ({ report }) => report.inFlight === 1);
  socket.end();
  await expectNothingHeld(gateway);
});

test('a stream that its client gives up over HTTP/2 ends at the worker, too', async () => {
  const gateway = await startGateway({}, TLS);
  let isOpen = false;
  await joinServer(gateway, (request, response) => {
    isOpen = true;
    response.write('data: 1\n\n');
    request.socket.once('close', () => (isOpen = false));
  });
  const stream = openSession(gateway).request({ ':path': '/' });
  stream.on('error', () => undefined);
  await once(stream, 'data');
  stream.close(8);
  await waitUntil('the worker hears of it', () => !isOpen);
});

test('a HEAD over HTTP/2 that its client gives up frees its worker', async () => {
  const gateway = await startGateway({}, TLS);
  await joinServer(gateway, () => undefined);
  const stream = openSession(gateway).request({ ':path': '/', ':method': 'HEAD' });
  stream.on('error', () => undefined);
  await gateway.hear('report', ({ report }) => report.inFlight === 1);
  stream.close(8);
  await expectNothingHeld(gateway);
});

describe('clients that do not read', () => {
  const sendTimeoutMs = 2000;

  async function start(tls: typeof TLS | null): Promise<TestGateway> {
    const gateway = await startGateway({ sendTimeoutMs }, tls);
    await joinServer(
      gateway,
      ({ url }, response) => void response.end(url === '/large' ? Buffer.alloc(LARGE_BYTES) : 'ok'),
      { concurrency: 1 },
    );
    return gateway;
  }

  test('over HTTP/1.1', async () => {
    const gateway = await start(null);
    const client = send(gateway.port, `GET /large HTTP/1.1\r\n${HOST}\r\n`);
    client.socket.pause();
    await gateway.hear('report', ({ report }) => report.inFlight === 1);
    expect((await request(gateway.url)).statusCode).toBe(200);
    await gateway.hear('log', ({ event }) => event === 'client_too_slow');
    await expectNothingHeld(gateway);
  });

  test('over HTTP/2, where the window is theirs', async () => {
    const gateway = await start(TLS);
    const session = openSession(gateway);
    const stream = session.request({ ':path': '/large' });
    stream.on('error', () => undefined).pause();
    await once(stream, 'response');
    expect((await askHttp2(openSession(gateway), { ':path': '/' })).status).toBe(200);
    await gateway.hear('log', ({ event }) => event === 'client_too_slow');
    await waitUntil('the client hears of it', () => stream.rstCode === 2);
    await expectNothingHeld(gateway);
  });

  test('but one that reads slowly gets all of it', async () => {
    const gateway = await start(null);
    const client = send(gateway.port, `GET /large HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    let bytes = 0;
    client.socket.on('data', (chunk: string) => {
      bytes += chunk.length;
      client.socket.pause();
      setTimeout(() => client.socket.resume(), bytes < 4 * 1024 * 1024 ? 60 : 0);
    });
    await client.closed;
    expect(bytes).toBeGreaterThan(LARGE_BYTES);
  });
});

test(
  'an HTTP/2 protocol error frees the worker of the request before it',
  async () => {
    const gateway = await startGateway({ queueTimeoutMs: 40_000 }, TLS);
    await joinServer(
      gateway,
      ({ url }, response) => {
        if (url === '/now') response.end('now');
      },
      { concurrency: 1 },
    );
    const socket = connectTls({
      port: gateway.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    socket.write(PREFACE);
    socket.write(frame(FRAME.settings, 0, 0, Buffer.alloc(0)));
    socket.write(frame(FRAME.headers, END_STREAM | END_HEADERS, 1, requestBlock('GET', '/x')));
    await gateway.hear('report', ({ report }) => report.inFlight === 1);
    // No stream has the number 0. Node 20 stops to read after that, and says nothing.
    socket.write(frame(FRAME.data, 0, 0, Buffer.from('abc')));
    await sleep(100);
    socket.destroy();
    expect((await askHttp2(openSession(gateway), { ':path': '/now' })).body).toBe('now');
  },
  NODE_20_MS,
);

test('handshakes and sessions that stand still are closed', async () => {
  const [cert, key] = [readFileSync(TLS.certFile), readFileSync(TLS.keyFile)];
  const handlers = {
    arrive: ({
      request,
      response,
    }: Parameters<Parameters<typeof createSecureFront>[1]['arrive']>[0]) =>
      refuse(request, response, 404),
    refused: () => undefined,
    failed: () => undefined,
  };
  const options = { headMs: 500, checkMs: 50, keepAliveMs: 700 };
  const front = await createSecureFront({ cert, key }, handlers, options);
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  onTestFinished(() => void front.close());
  const { port } = front.address() as { port: number };
  const closed = (bytes: string): Promise<unknown> => send(port, bytes).closed;
  await Promise.all([closed(''), closed('\x16\x03\x01\x02\x00\x01\x00')]);
  const open = async (protocol: string, bytes: string): Promise<void> => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: [protocol],
    });
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    socket.resume().write(bytes);
    await once(socket, 'close');
  };
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';
  await Promise.all([
    open('h2', ''),
    open('h2', preface),
    open('http/1.1', ''),
    open('http/1.1', 'GET '),
  ]);
  // And one that is used is not.
  const session = openSession({ url: `https://127.0.0.1:${port}` } as TestGateway);
  for (let turn = 0; turn < 6; turn += 1) {
    expect((await askHttp2(session, { ':path': '/' })).status).toBe(404);
    await sleep(300);
  }
  await once(session, 'close');
});

/** What the proxy passes, what it adds, and what it never lets through, in both directions. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { request } from 'undici';
import { openConnection, type Http1Connection } from '../support/http1-connection.ts';
import { scratchFolder } from '../support/scratch.ts';
import { waitUntil } from '../support/processes.ts';
import { SETTINGS, startGateway, type TestGateway } from './harness.ts';

/** A worker inside the test, where it can be looked at. */
async function joinServer(
  gateway: TestGateway,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  options: { concurrency?: number; reserved?: boolean } = {},
): Promise<{ id: number }> {
  const server = createServer(handle);
  const path = join(scratchFolder(), 'worker.sock');
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return gateway.join({ address: { kind: 'unix', path }, ...options });
}

/** A worker that answers each connection with these bytes. */
async function joinBytes(gateway: TestGateway, bytes: string): Promise<void> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(bytes, 'latin1'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  await gateway.join({ address: { kind: 'tcp', host: '127.0.0.1', port } });
}

function client(gateway: TestGateway): Http1Connection {
  const connection = openConnection(gateway);
  connection.socket.on('error', () => undefined);
  onTestFinished(() => void connection.socket.destroy());
  return connection;
}

async function seenBy(
  gateway: TestGateway,
  fields: Record<string, string>,
): Promise<Record<string, string>> {
  const { body } = await request(gateway.url, { headers: fields });
  return (await body.json()) as Record<string, string>;
}

const showHeaders = (request: IncomingMessage, response: ServerResponse): void => {
  response.end(JSON.stringify(request.headers));
};

describe('what the app sees', () => {
  test('is who asked, and never what a client says of itself', async () => {
    const gateway = await startGateway();
    await joinServer(gateway, showHeaders);
    const seen = await seenBy(gateway, {
      'x-forwarded-for': '6.6.6.6',
      'x-forwarded-proto': 'https',
      'x-forwarded-prefix': '/evil',
      x_forwarded_for: '6.6.6.6',
      'x-real-ip': '6.6.6.6',
      forwarded: 'for=6.6.6.6',
      proxy: 'http://evil',
      cookie: 'a=1',
    });
    expect(seen).toMatchObject({
      host: `127.0.0.1:${gateway.port}`,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': `127.0.0.1:${gateway.port}`,
      forwarded: `for=127.0.0.1;proto=http;host="127.0.0.1:${gateway.port}"`,
      cookie: 'a=1',
    });
    expect(Object.keys(seen)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/proxy|real|prefix|_/)]),
    );
  });

  test('is what a trusted proxy says, as far as it is trusted itself', async () => {
    const gateway = await startGateway({ trustedProxies: ['127.0.0.0/8', '10.0.0.0/8'] });
    await joinServer(gateway, showHeaders);
    const seen = await seenBy(gateway, {
      'x-forwarded-for': '6.6.6.6, 203.0.113.9, 10.1.2.3',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
    });
    expect(seen).toMatchObject({
      'x-forwarded-for': '203.0.113.9, 10.1.2.3, 127.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
    });
    // Settings may change while it runs.
    gateway.send({ type: 'configure', settings: SETTINGS });
    await waitUntil('trust is gone', async () => {
      const { 'x-forwarded-for': chain } = await seenBy(gateway, { 'x-forwarded-for': '6.6.6.6' });
      return chain === '127.0.0.1';
    });
  });

  test('holds nothing that was meant for the connection', async () => {
    const gateway = await startGateway();
    await joinServer(gateway, showHeaders);
    const connection = client(gateway);
    connection.socket.write(
      'GET http://real.example/a?b HTTP/1.1\r\nHost: other.example\r\nConnection: keep-alive, X-Hop\r\n' +
        'X-Hop: 1\r\nKeep-Alive: timeout=9\r\nTE: trailers\r\nProxy-Authorization: x\r\n\r\n',
    );
    const seen = JSON.parse(String((await connection.readAnswer()).body)) as object;
    expect(seen).toMatchObject({ host: 'real.example', te: 'trailers' });
    for (const name of ['x-hop', 'keep-alive', 'proxy-authorization']) {
      expect(seen).not.toHaveProperty(name);
    }
  });
});

describe('bodies', () => {
  test('stream both ways, with trailers, and wait for a slow reader', async () => {
    const gateway = await startGateway();
    let produced = 0;
    await joinServer(gateway, (request, response) => {
      if (request.url === '/big') {
        const chunk = Buffer.alloc(64 * 1024);
        const more = (): void => {
          while (produced < 200 * 1024 * 1024) {
            produced += chunk.length;
            if (!response.write(chunk)) return void response.once('drain', more);
          }
          response.end();
        };
        return more();
      }
      response.writeHead(200, { trailer: 'x-sum' });
      request.pipe(response, { end: false });
      request.on('end', () => {
        response.addTrailers({ 'x-sum': `of ${request.trailers['x-in']}` });
        response.end();
      });
    });
    const connection = client(gateway);
    connection.socket.write(
      'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntrailer: x-in\r\n\r\n3\r\nabc\r\n',
    );
    let text = '';
    connection.socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    // The first half is through before the second is sent.
    await waitUntil('half an echo', () => text.includes('abc'));
    connection.socket.write('3\r\ndef\r\n0\r\nx-in: y\r\nhost: evil\r\n\r\n');
    await waitUntil('the trailer', () => /def[^]*x-sum: of y\r\n\r\n$/.test(text));

    const slow = connect(gateway.port, '127.0.0.1');
    onTestFinished(() => void slow.destroy());
    slow.pause();
    slow.write('GET /big HTTP/1.1\r\nhost: x\r\n\r\n');
    let before = -1;
    await waitUntil('the app is held back', async () => {
      const held = produced === before && produced > 0;
      before = produced;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return held;
    });
    expect(produced).toBeLessThan(20 * 1024 * 1024);
  });

  test('are asked for only when somebody is there to take them (100-continue)', async () => {
    const gateway = await startGateway({ queueTimeoutMs: 300 });
    const ask = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n';
    const refused = client(gateway);
    refused.socket.write(ask);
    expect(await refused.readInterim()).toBe(503);
    await joinServer(gateway, (request, response) => void request.pipe(response));
    const taken = client(gateway);
    taken.socket.write(ask);
    expect(await taken.readInterim()).toBe(100);
    taken.socket.write('ok');
    expect(String((await taken.readAnswer()).body)).toBe('ok');
  });

  test('stay whole when a client offers HTTP/2 without TLS, as Java does', async () => {
    const gateway = await startGateway();
    await joinServer(gateway, (request, response) => void request.pipe(response));
    const connection = client(gateway);
    connection.socket.write(
      'POST / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n' +
        'http2-settings: x\r\ncontent-length: 6\r\n\r\na body',
    );
    expect(String((await connection.readAnswer()).body)).toBe('a body');
  });
});

describe('answers', () => {
  test('come with hints, in their own words, and with every cookie', async () => {
    const gateway = await startGateway();
    await joinServer(gateway, (_, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' });
      response.writeHead(299, 'Fine', ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Case', 'y']);
      response.end('x');
    });
    const connection = client(gateway);
    let text = '';
    connection.socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    connection.socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await waitUntil('the answer', () => text.endsWith('\r\n\r\nx') || text.includes('\r\nx\r\n'));
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\n/i);
    expect(text).toContain(
      'HTTP/1.1 299 Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Case: y\r\n',
    );
  });

  test.each([
    ['no HTTP at all', 'hello\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['a line end in a field', 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n'],
    ['nothing', ''],
    ['an unasked upgrade', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
  ])('that are %s become 502', async (_, bytes) => {
    const gateway = await startGateway();
    await joinBytes(gateway, bytes);
    const { statusCode, body } = await request(gateway.url, { method: 'POST' });
    expect([statusCode, await body.text()]).toEqual([502, '502 Bad Gateway\n']);
  });

  test('take too long: 504, and the supervisor is told who is stuck in what', async () => {
    const gateway = await startGateway({ requestTimeoutMs: 200 });
    const { id } = await joinServer(gateway, () => undefined);
    const { statusCode, body } = await request(`${gateway.url}/stuck`);
    expect([statusCode, await body.text()]).toEqual([504, '504 Gateway Timeout\n']);
    expect(await gateway.hear('overdue')).toMatchObject({ worker: id, target: '/stuck' });
  });

  test('that are slow are told while they run, and logged when they are over', async () => {
    const gateway = await startGateway({ slowLogMs: 50 });
    const held: ServerResponse[] = [];
    const { id } = await joinServer(gateway, (_, response) => held.push(response));
    const asked = request(`${gateway.url}/late`);
    const slow = await gateway.hear('slow');
    expect(slow).toMatchObject({ worker: id, method: 'GET', target: '/late', script: null });
    expect(held.length).toBe(1);
    held[0]?.end();
    await (await asked).body.dump();
    const { fields } = await gateway.hear('log', ({ event }) => event === 'slow_request_ended');
    expect(fields).toMatchObject({ target: '/late', status: 200 });
    expect(fields['tookMs']).toBeGreaterThanOrEqual(50);
    expect(gateway.said.filter(({ type }) => type === 'slow').length).toBe(1);
  });
});

describe('probes', () => {
  test('overtake those who wait, and asks reach the worker they are meant for', async () => {
    const gateway = await startGateway({ probePath: '/health' });
    const order: string[] = [];
    const held: ServerResponse[] = [];
    await joinServer(
      gateway,
      (request, response) => {
        order.push(request.url ?? '');
        held.push(response);
      },
      { concurrency: 1 },
    );
    const depth = (wanted: number): Promise<unknown> =>
      gateway.hear('queue', ({ queue }) => queue.depth === wanted);
    const asked = ['/1', '/2', '/3'].map((path) => request(gateway.url + path));
    await depth(2);
    asked.push(request(`${gateway.url}/health?x`));
    await depth(3);
    gateway.send({ type: 'ask', id: 1, worker: null, path: '/asked', timeoutMs: 20_000 });
    await depth(4);
    for (let index = 0; index < 5; index += 1) {
      await waitUntil('the next one', () => held.length > index);
      held[index]?.end('fine');
    }
    for (const { body } of await Promise.all(asked)) await body.dump();
    expect(order).toEqual(['/1', '/health?x', '/asked', '/2', '/3']);
    expect(await gateway.hear('answer')).toMatchObject({ id: 1, status: 200, body: 'fine' });
  });

  test('have the reserved worker, which the public never gets', async () => {
    const gateway = await startGateway({ probePath: '/health' });
    const busy = await joinServer(gateway, () => undefined, { concurrency: 1 });
    const seen: string[] = [];
    const reserve = await joinServer(
      gateway,
      (request, response) => {
        seen.push(request.url ?? '');
        response.end('reserved');
      },
      { reserved: true },
    );
    const stuck = [1, 2].map(() => request(`${gateway.url}/stuck`).catch(() => null));
    const { body } = await request(`${gateway.url}/health`);
    expect(await body.text()).toBe('reserved');
    gateway.send({ type: 'ask', id: 2, worker: reserve.id, path: '/ask', timeoutMs: 5000 });
    expect(await gateway.hear('answer')).toMatchObject({ id: 2, status: 200, body: 'reserved' });
    gateway.send({ type: 'ask', id: 3, worker: busy.id, path: '/ask', timeoutMs: 100 });
    const late = await gateway.hear('answer', ({ id }) => id === 3);
    expect(late).toMatchObject({ status: null, body: 'no answer within 100 ms' });
    expect(seen).toEqual(['/health', '/ask']);
    gateway.child.kill('SIGKILL');
    await Promise.all(stuck);
  });
});

describe('the process', () => {
  test('finishes what it holds and leaves when its supervisor is gone', async () => {
    const gateway = await startGateway();
    await gateway.join();
    const connection = client(gateway);
    connection.socket.write('GET /slow?ms=500 HTTP/1.1\r\nhost: x\r\n\r\n');
    await gateway.hear('report', ({ report }) => report.inFlight === 1).catch(() => null);
    gateway.child.disconnect();
    expect((await connection.readAnswer()).status).toBe(200);
    await waitUntil('it left', () => gateway.child.exitCode === 0);
  });
});

/** One request's fault ends one request: what a client or a worker says never ends the gateway. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { request } from 'undici';
import { waitUntil } from '../support/processes.ts';
import { startGateway, type TestGateway } from './harness.ts';
import {
  askHttp2,
  joinBytes,
  joinServer,
  openSession,
  send,
  TLS,
  waitForStatuses,
} from './peers.ts';

const HOST = 'Host: a\r\n';
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';

/** It is the same process, and it serves. */
async function expectAlive({ url, child }: TestGateway): Promise<void> {
  const { statusCode, body } = await request(`${url}/alive`);
  await body.dump();
  expect([statusCode, child.exitCode]).toEqual([200, null]);
}

describe('a request cannot end the gateway', () => {
  test.each(['GET', 'POST'])('%s with a Trailer field and no chunks', async (method) => {
    const gateway = await startGateway();
    await joinServer(gateway, ({ headers }, response) => void response.end(headers.trailer ?? '-'));
    const length = method === 'POST' ? 'Content-Length: 0\r\n' : '';
    const client = send(gateway.port, `${method} / HTTP/1.1\r\n${HOST}Trailer: X\r\n${length}\r\n`);
    expect(await waitForStatuses(client, 1)).toEqual(['200']);
    expect(client.text()).toMatch(/\r\n-|\n-\r\n/);
    await expectAlive(gateway);
  });

  test('an upgrade behind a pipelined request waits for its turn', async () => {
    const gateway = await startGateway();
    await gateway.join();
    const slow = (id: string): string => `GET /slow?ms=200 HTTP/1.1\r\n${HOST}X-Id: ${id}\r\n\r\n`;
    const client = send(
      gateway.port,
      `${slow('first')}${slow('second')}GET /ws HTTP/1.1\r\n${HOST}${UPGRADE}` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    expect(await waitForStatuses(client, 3)).toEqual(['200', '200', '101']);
    expect(client.text()).toMatch(/id=first[^]*id=second[^]* 101 /);
    await expectAlive(gateway);
  });

  test('garbage behind whole requests does not take their answers', async () => {
    const gateway = await startGateway();
    await gateway.join();
    const client = send(
      gateway.port,
      `GET /slow?ms=200 HTTP/1.1\r\n${HOST}X-Id: first\r\n\r\nGET / HTTP/1.1\r\n${HOST}X-Id: second\r\n\r\nno http\r\n\r\n`,
    );
    await client.closed;
    expect(client.statuses()).toEqual(['200', '200', '400']);
    expect(client.text()).toMatch(/id=first[^]*id=second[^]* 400 /);
    await expectAlive(gateway);
  });

  test('CONNECT and TRACE are refused, over both protocols', async () => {
    const gateway = await startGateway({}, TLS);
    await gateway.join();
    const session = openSession(gateway);
    const connected = await askHttp2(session, { ':method': 'CONNECT', ':authority': 'a:80' });
    expect(connected.status).toBe(405);
    expect((await askHttp2(session, { ':method': 'TRACE', ':path': '/' })).status).toBe(405);
    const plain = await startGateway();
    const trace = send(plain.port, `TRACE / HTTP/1.1\r\n${HOST}\r\n`);
    expect(await waitForStatuses(trace, 1)).toEqual(['405']);
  });

  test('100 Continue for a stream that is gone', async () => {
    const gateway = await startGateway({}, TLS);
    await gateway.join();
    for (let round = 0; round < 50; round += 1) {
      const session = openSession(gateway);
      const stream = session.request({
        ':method': 'POST',
        ':path': '/upload',
        expect: '100-continue',
        'content-length': '5',
      });
      stream.on('error', () => undefined);
      if (round % 2 === 0) setImmediate(() => stream.close(8));
      else setImmediate(() => session.destroy());
    }
    await waitUntil('nothing is held', async () => {
      const { report } = await gateway.hear('report');
      return report.inFlight === 0;
    });
    const { status } = await askHttp2(openSession(gateway), { ':path': '/' });
    expect([status, gateway.child.exitCode]).toEqual([200, null]);
    expect(gateway.said.filter(({ type }) => type === 'log')).toEqual([]);
  });
});

test('a GET over HTTP/2 is asked again when its worker dies, and has no body', async () => {
  const gateway = await startGateway({}, TLS);
  const seen: string[] = [];
  const hang = ({ headers }: IncomingMessage, response: ServerResponse): void => {
    seen.push(headers['transfer-encoding'] ?? 'no body');
    if (seen.length === 1) response.destroy();
    else response.end('second');
  };
  await joinServer(gateway, hang);
  await joinServer(gateway, hang);
  const answer = await askHttp2(openSession(gateway), { ':path': '/' });
  expect(answer).toMatchObject({ status: 200, body: 'second' });
  expect(seen).toEqual(['no body', 'no body']);
  const once = await gateway.hear('queue', ({ queue }) => queue.retried === 1);
  expect(once.queue.lost).toBe(0);
  // What must not be repeated is lost, and counted as that.
  seen.length = 0;
  const lost = await askHttp2(openSession(gateway), { ':path': '/', ':method': 'POST' }, 'x');
  expect(lost.status).toBe(502);
  await gateway.hear('queue', ({ queue }) => queue.lost === 1);
});

describe('an answer cannot end the gateway', () => {
  const ODD: Record<string, string> = {
    '/etag': 'HTTP/1.1 200 OK\r\nETag: "a"\r\nETag: "b"\r\nContent-Length: 2\r\n\r\nok',
    '/location': 'HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n',
    '/nosniff':
      'HTTP/1.1 200 OK\r\nX-Content-Type-Options: nosniff\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 2\r\n\r\nok',
    '/cookies':
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok',
    '/trailers':
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nETag: "a"\r\nETag: "b"\r\n\r\n',
    '/announced': 'HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nok',
    '/reason': 'HTTP/1.1 200 O\u0001K\r\nContent-Length: 2\r\n\r\nok',
    '/own-reason': 'HTTP/1.1 200 All Good\r\nContent-Length: 2\r\n\r\nok',
    '/proxy': 'HTTP/1.1 200 OK\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok',
    '/status': 'HTTP/1.1 1000 What\r\nContent-Length: 2\r\n\r\nok',
    '/reset-content': 'HTTP/1.1 205 Reset\r\nContent-Length: 2\r\n\r\nok',
    '/hint':
      'HTTP/1.1 103 Early\r\nLink: bad\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    '/alive': 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  };
  const answerTo = (path: string): string => ODD[path] ?? ODD['/alive']!;

  test('over HTTP/2', async () => {
    const gateway = await startGateway({}, TLS);
    await joinBytes(gateway, answerTo);
    const session = openSession(gateway);
    const ask = (path: string): ReturnType<typeof askHttp2> => askHttp2(session, { ':path': path });
    expect(await ask('/etag')).toMatchObject({ status: 200, headers: { etag: '"a"' }, body: 'ok' });
    expect(await ask('/location')).toMatchObject({ status: 302, headers: { location: '/a' } });
    expect(await ask('/nosniff')).toMatchObject({ status: 200, body: 'ok' });
    expect(await ask('/cookies')).toMatchObject({
      status: 200,
      headers: { 'set-cookie': ['a=1', 'b=2'] },
    });
    expect(await ask('/trailers')).toMatchObject({
      status: 200,
      body: 'ok',
      trailers: { etag: '"a"' },
    });
    expect(await ask('/announced')).toMatchObject({ status: 200, body: 'ok' });
    expect(await ask('/reason')).toMatchObject({ status: 200, body: 'ok' });
    expect(await ask('/proxy')).toMatchObject({ status: 200, body: 'ok' });
    expect(await ask('/status')).toMatchObject({ status: 502 });
    expect(await ask('/hint')).toMatchObject({ status: 200, body: 'ok' });
    await ask('/reset-content');
    expect(await ask('/alive')).toMatchObject({ status: 200 });
    expect(gateway.child.exitCode).toBe(null);
  });

  test('over HTTP/1.1', async () => {
    const gateway = await startGateway();
    await joinBytes(gateway, answerTo);
    const firstLine = async (path: string): Promise<string | undefined> => {
      const client = send(gateway.port, `GET ${path} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
      await client.closed;
      return client.text().split('\r\n')[0];
    };
    expect(await firstLine('/etag')).toBe('HTTP/1.1 200 OK');
    expect(await firstLine('/announced')).toBe('HTTP/1.1 200 OK');
    expect(await firstLine('/reason')).toBe('HTTP/1.1 200 OK');
    expect(await firstLine('/own-reason')).toBe('HTTP/1.1 200 All Good');
    expect(await firstLine('/trailers')).toBe('HTTP/1.1 200 OK');
    expect(await firstLine('/status')).toBe('HTTP/1.1 502 Bad Gateway');
    await expectAlive(gateway);
  });
});

describe('an upgrade that is none is a plain request', () => {
  const TLS_OFFER = 'Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n';

  test.each([
    ['of another protocol', TLS_OFFER],
    ['to a WebSocket', UPGRADE],
  ])('%s: the body arrives, and the connection is kept', async (_, fields) => {
    const gateway = await startGateway();
    await gateway.join();
    const post = `POST /upload HTTP/1.1\r\n${HOST}${fields}X-Id: a\r\nContent-Length: 1\r\n\r\nb`;
    const client = send(gateway.port, post);
    expect(await waitForStatuses(client, 1)).toEqual(['200']);
    expect(client.text()).toContain('id=a hash=e9d71f5ee7c92d6d ');
    client.socket.write(post);
    expect(await waitForStatuses(client, 2)).toEqual(['200', '200']);
    const chunks = `POST /upload HTTP/1.1\r\n${HOST}${fields}X-Id: c\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n`;
    client.socket.write(chunks);
    expect(await waitForStatuses(client, 3)).toEqual(['200', '200', '200']);
    expect(client.text()).toContain('id=c hash=e9d71f5ee7c92d6d ');
  });

  test('what Node drops behind it is never waited for: the connection ends', async () => {
    const gateway = await startGateway();
    await gateway.join();
    const get = `GET / HTTP/1.1\r\n${HOST}${TLS_OFFER}\r\n`;
    const alone = send(gateway.port, get);
    expect(await waitForStatuses(alone, 1)).toEqual(['200']);
    alone.socket.write(get);
    expect(await waitForStatuses(alone, 2)).toEqual(['200', '200']);
    const followed = send(gateway.port, `${get}GET / HTTP/1.1\r\n${HOST}\r\n`);
    await followed.closed;
    expect(followed.text()).toContain('Connection: close');
    const behind = send(gateway.port, `GET / HTTP/1.1\r\n${HOST}\r\n`);
    await waitForStatuses(behind, 1);
    behind.socket.write(get);
    await behind.closed;
    expect(behind.statuses()).toEqual(['200', '200']);
  });

  test('that the worker does not agree to is answered as it answers', async () => {
    const gateway = await startGateway();
    await joinServer(gateway, (request, response) => void response.end(request.url));
    const client = send(gateway.port, `GET /page HTTP/1.1\r\n${HOST}${UPGRADE}\r\n`);
    await client.closed;
    expect(client.statuses()).toEqual(['200']);
    expect(client.text()).toContain('/page');
  });
});

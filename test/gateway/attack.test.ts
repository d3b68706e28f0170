/** What hostile clients send: two lengths, slow heads, huge heads, crowds that leave. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { request } from 'undici';
import { holdBody, streamBody } from '../../src/data/gateway/body.ts';
import { createFront, type Arrival } from '../../src/data/gateway/front.ts';
import { refuse } from '../../src/data/gateway/refuse.ts';
import { waitUntil } from '../support/processes.ts';
import { startGateway, type TestGateway } from './harness.ts';

function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** Sends the bytes; all that comes back until the server closes. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = open(port);
  let answer = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (answer += chunk));
  socket.write(bytes, 'latin1');
  await once(socket, 'close');
  return answer;
}

function statuses(answer: string): string[] {
  return [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => status ?? '');
}

const GET = 'GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n';

describe('smuggling', () => {
  let gateway: TestGateway;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    gateway = await startGateway({}, null, (end) => (stop = end));
  });
  afterAll(() => stop());

  test.each([
    ['a length beside chunks', 'content-length: 4\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n'],
    ['two lengths', 'content-length: 4\r\ncontent-length: 5\r\n', 'abcd'],
    ['a list of lengths', 'content-length: 4, 4\r\n', 'abcd'],
    ['a length with a sign', 'content-length: +4\r\n', 'abcd'],
    ['chunks that are not last', 'transfer-encoding: chunked, identity\r\n', '0\r\n\r\n'],
    ['a coding before the chunks', 'transfer-encoding: gzip, chunked\r\n', '0\r\n\r\n'],
    ['two encodings', 'transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n'],
    ['an obscured encoding', 'transfer-encoding: xchunked\r\n', '0\r\n\r\n'],
    ['a space before the colon', 'transfer-encoding : chunked\r\n', '0\r\n\r\n'],
    ['a line end without return', 'x: y\ntransfer-encoding: chunked\r\n', '0\r\n\r\n'],
    ['a bad chunk size', 'transfer-encoding: chunked\r\n', '0x1\r\na\r\n0\r\n\r\n'],
    ['a second host', 'host: y\r\n', ''],
    ['a user in the host', '', '', 'POST / HTTP/1.1\r\nhost: a@b\r\n'],
    ['no host', '', '', 'POST / HTTP/1.1\r\n'],
    [
      'chunks in HTTP/1.0',
      'transfer-encoding: chunked\r\n',
      '0\r\n\r\n',
      'POST / HTTP/1.0\r\nhost: x\r\n',
    ],
    ['a target that is no path', '', '', 'GET foo HTTP/1.1\r\nhost: x\r\n'],
    ['another scheme', '', '', 'GET ftp://x/ HTTP/1.1\r\nhost: x\r\n'],
    [
      'another version with what only that may have',
      'transfer-encoding: gzip, chunked\r\n',
      '0\r\n\r\n',
      'POST / HTTP/2.0\r\nhost: x\r\n',
    ],
    ['a tunnel', '', '', 'CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n'],
  ])('%s is refused, and what follows is not served', async (_, fields, body, start = '') => {
    const head = start === '' ? 'POST / HTTP/1.1\r\nhost: x\r\n' : start;
    const answer = await exchange(gateway.port, `${head}${fields}\r\n${body}${GET}`);
    expect(statuses(answer)).toEqual([expect.stringMatching(/^(400|405|501|505)$/)]);
  });
});

describe('greed', () => {
  test('ends with 431, 413 or 408', async () => {
    const gateway = await startGateway({ bodyLimitBytes: 1000 });
    await gateway.join();
    const start = 'POST / HTTP/1.1\r\nhost: x\r\n';
    const bombs = {
      '431 by size': `${start}x: ${'y'.repeat(40_000)}\r\n\r\n`,
      '431 by number': `${start}${'a: b\r\n'.repeat(300)}\r\n`,
      '413 announced': `${start}content-length: 1001\r\n\r\n`,
      '413 in chunks': `${start}transfer-encoding: chunked\r\n\r\n3e9\r\n${'x'.repeat(1001)}\r\n`,
    };
    for (const [name, bytes] of Object.entries(bombs)) {
      expect([name, statuses(await exchange(gateway.port, bytes))]).toEqual([
        name,
        [name.slice(0, 3)],
      ]);
    }
    // And a client that does as it should is none the worse.
    const { statusCode, body } = await request(gateway.url, {
      method: 'POST',
      body: 'x'.repeat(1000),
    });
    expect(statusCode).toBe(200);
    await body.dump();
  });

  test('heads byte by byte are cut off (slowloris), and cost nobody else anything', async () => {
    // The real limits are ten seconds; the front is the same.
    const refused: string[] = [];
    const front = createFront(
      {
        arrive: ({ request, response }) => refuse(request, response, 404),
        refused: (status) => refused.push(String(status)),
        failed: () => undefined,
      },
      { headMs: 300, checkMs: 50 },
    );
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    onTestFinished(() => void front.close());
    const { port } = front.address() as { port: number };
    const slow = Array.from({ length: 100 }, () =>
      exchange(port, 'GET / HTTP/1.1\r\nhost: x\r\nx'),
    );
    expect(statuses(await exchange(port, 'GET / HTTP/1.0\r\n\r\n'))).toEqual(['404']);
    for (const answer of await Promise.all(slow)) expect(statuses(answer)).toEqual(['408']);
    expect(refused.length).toBe(100);
  });
});

describe('a body that comes too slowly', () => {
  const pace = { bytesPerS: 1e6, graceMs: 200, checkMs: 50 };
  const limits = { bodyLimitBytes: 1e6, spoolAboveBytes: 1e6, unkept: () => undefined };

  async function startFront(take: (arrival: Arrival) => Promise<number>): Promise<number> {
    const arrive = (arrival: Arrival): void =>
      void take(arrival).then((status) => refuse(arrival.request, arrival.response, status));
    const front = createFront({ arrive, refused: () => undefined, failed: () => undefined });
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    onTestFinished(() => void front.close());
    return (front.address() as { port: number }).port;
  }

  const HEAD = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 400\r\n\r\n';

  test('ends with 408 where bodies are held back', async () => {
    const port = await startFront(async ({ request: from, response }) => {
      const body = await holdBody(
        from,
        response,
        { ...limits, unkept: () => undefined },
        false,
        pace,
      );
      return body.fault() ?? 200;
    });
    const whole = open(port);
    whole.write(HEAD + 'x'.repeat(400));
    const [answer] = (await once(whole, 'data')) as [Buffer];
    expect(statuses(answer.toString())).toEqual(['200']);
    expect(statuses(await exchange(port, `${HEAD}xx`))).toEqual(['408']);
  });

  test('ends with 408 where bodies stream, but not for a reader that is slow', async () => {
    let waited = 0;
    const port = await startFront(async ({ request: from, response }) => {
      const body = streamBody(from, response, limits, false, pace);
      const stream = body.open();
      if (from.headers['x-reader'] === 'slow') {
        // Past the limit by far; what was sent waits for us.
        await sleep(pace.graceMs * 4);
        waited += 1;
      }
      await stream
        .resume()
        .toArray()
        .catch(() => undefined);
      return body.fault() ?? 200;
    });
    expect(statuses(await exchange(port, `${HEAD}xx`))).toEqual(['408']);
    const bytes = 200_000;
    const start = `POST / HTTP/1.1\r\nhost: x\r\nx-reader: slow\r\nconnection: close\r\n`;
    const patient = `${start}content-length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`;
    expect(statuses(await exchange(port, patient))).toEqual(['200']);
    expect(waited).toBe(1);
  });
});

describe('a crowd in the queue', () => {
  const CROWD = 2000;

  test('that leaves at any moment is no failed request', async () => {
    const gateway = await startGateway();
    await gateway.join();
    for (let round = 0; round < 400; round += 1) {
      const socket = open(gateway.port);
      await once(socket, 'connect');
      socket.write(GET);
      // Before, amid and after its answer.
      const end = performance.now() + (round % 20) / 10;
      while (performance.now() < end) await new Promise((turn) => setImmediate(turn));
      socket.resetAndDestroy();
    }
    await gateway.hear('report', ({ report }) => report.inFlight === 0);
    expect(gateway.said.filter(({ type }) => type === 'log')).toEqual([]);
  });

  test('that leaves takes its place with it: 2000 clients', async () => {
    const gateway = await startGateway({ queueLength: CROWD, queueTimeoutMs: 120_000 });
    const crowd: Socket[] = [];
    for (let index = 0; index < CROWD; index += 1) {
      const socket = open(gateway.port);
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
      crowd.push(socket);
      if (index % 500 === 499) await once(socket, 'connect');
    }
    await gateway.hear('queue', ({ queue }) => queue.depth === CROWD);
    const late = await request(gateway.url);
    expect([late.statusCode, late.headers['retry-after']]).toEqual([503, '2']);
    await late.body.dump();
    for (const socket of crowd) socket.destroy();
    const { queue } = await gateway.hear('queue', (message) => message.queue.depth === 0);
    expect(queue).toMatchObject({ abandoned: CROWD, rejected: [1, 0, 0, 0] });
    // Nobody of them is served when a worker comes, and those who come now wait for nothing.
    const worker = await gateway.join();
    const { statusCode, body } = await request(gateway.url);
    expect(statusCode).toBe(200);
    await body.dump();
    const { report } = await gateway.hear(
      'report',
      (message) => message.worker === worker.id && message.report.requests > 0,
    );
    expect(report.requests).toBe(1);
  });

  test('that waits for too long gets 503, first come first', async () => {
    const gateway = await startGateway({ queueTimeoutMs: 300 });
    const answers = await Promise.all([1, 2, 3].map(() => request(gateway.url)));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([503, 503, 503]);
    await waitUntil('no worker was the reason', async () => {
      const { queue } = await gateway.hear('queue', () => true);
      return queue.rejected[2] === 3;
    });
  });
});

/** The live page as a server: who may ask, what is answered, and what a bad browser can cost. */
import { once } from 'node:events';
import { get, request, type IncomingMessage, type RequestOptions } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Told } from '../../src/control/types.ts';
import { BACKLOG_BYTES_MAX, VIEWERS_MAX } from '../../src/dashboard/stream.ts';
import type { PageStatus } from '../../src/dashboard/wire.ts';
import { servePage, type ServedPage } from '../support/served-page.ts';

const STATUS = {
  name: '<b>shop</b>',
  pid: 1,
  state: 'running',
  listen: [],
  budget: { bytes: 1e9, origin: 'flag' },
  treeBytes: 1e8,
  supervisorBytes: 1e7,
  workers: [],
  pools: [],
  recycles: {},
  crashes: 0,
  bootFailures: 0,
  uptimeMs: 0,
} as unknown as PageStatus;

const LONG: Told = { event: 'boot_failed', detail: 'x'.repeat(400), slot: 1 } as Told;

/** About half of what a browser may lag behind, so that one that reads is never dropped. */
const BURST = Math.floor(BACKLOG_BYTES_MAX / 2 / 600);
/** The kernel's buffers take some megabytes; what is bounded is what we hold beyond them. */
const ROUNDS = 400;

let page: ServedPage;
const sockets: Socket[] = [];

beforeEach(async () => {
  page = await servePage({ status: () => STATUS, now: () => Date.now() });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await page.close();
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function ask(path: string, options: RequestOptions = {}): Promise<Answer> {
  const asked = request({ host: '127.0.0.1', port: page.port, path, agent: false, ...options });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

/** A stream that is open; `paused` never reads a byte of it. */
async function watch(): Promise<IncomingMessage> {
  const asked = get({ host: '127.0.0.1', port: page.port, path: '/page/events', agent: false });
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.on('error', () => {});
  sockets.push(response.socket);
  return response;
}

describe('who may ask', () => {
  test('a foreign page may link here, but not take a seat', async () => {
    const headers = { 'sec-fetch-site': 'cross-site' };
    expect((await ask('/', { headers })).status).toBe(200);
    expect((await ask('/page/events', { headers })).status).toBe(403);
  });

  test('only to read', async () => {
    for (const method of ['POST', 'DELETE', 'OPTIONS']) {
      const { status, headers } = await ask('/', { method });
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
    }
  });
});

describe('what is answered', () => {
  test('the page, with a policy that allows our own files only, and no inline script', async () => {
    const { headers, body } = await ask('/?x=1');
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/);
    expect(headers['content-security-policy']).not.toContain('unsafe');
    expect(body).toContain('&#60;b&#62;shop&#60;/b&#62;: running');
    expect(body).not.toMatch(/<script(?![^>]*\bsrc=)|\bon\w+="|style="|https?:\/\//);
  });

  test('every file that the page asks for, with its type, and no file of others', async () => {
    const { body } = await ask('/');
    const files = [...body.matchAll(/(?:src|href)="(page\/[^"]+)"/g)].map(([, path]) => `/${path}`);
    expect(new Set(files).size).toBe(5);
    for (const path of files) {
      const { status, headers } = await ask(path);
      expect([path, status]).toEqual([path, 200]);
      expect(headers['content-type']).toMatch(/^(?:text\/(?:css|javascript)|image\/svg)/);
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
    const climbs = ['../dashboard.js', '%2e%2e/dashboard.js', '..%2fhost.js', 'nothing.js', ''];
    for (const path of [...climbs, 'uPlot.LICENSE', 'app.js.map', 'a\0.js']) {
      expect([path, (await ask(`/page/${encodeURI(path)}`)).status]).toEqual([path, 404]);
    }
  });

  test('HEAD has the length and no body', async () => {
    const { status, headers, body } = await ask('/page/style.css', { method: 'HEAD' });
    expect([status, body]).toEqual([200, '']);
    expect(Number(headers['content-length'])).toBeGreaterThan(1000);
    expect((await ask('/page/events', { method: 'HEAD' })).status).toBe(404);
  });

  test('other paths are left to others', async () => {
    for (const path of ['/metrics', '/pages', '/page', '//']) {
      expect(await ask(path)).toMatchObject({ status: 404, body: 'elsewhere' });
    }
  });
});

describe('a bad browser', () => {
  test('that does not read is dropped; one that reads misses nothing', async () => {
    const wanted = ROUNDS * BURST;
    const reader = await watch();
    const allSeen = new Promise<void>((resolve) => {
      let seen = 0;
      reader.setEncoding('utf8').on('data', (text: string) => {
        seen += text.split('id":').length - 1;
        if (seen >= wanted) resolve();
      });
    });
    const sleeper = connect(page.port, '127.0.0.1');
    sockets.push(sleeper);
    const dropped = once(sleeper, 'close');
    sleeper.on('error', () => {});
    sleeper.write('GET /page/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(sleeper, 'readable');
    sleeper.pause();

    for (let round = 0; round < ROUNDS; round += 1) {
      for (let count = 0; count < BURST; count += 1) page.dashboard.told(LONG);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await allSeen;
    sleeper.resume();
    await dropped;
  });

  test('or sixteen of them take all seats, and give them back when they leave', async () => {
    const all = await Promise.all(Array.from({ length: VIEWERS_MAX }, watch));
    const { status, headers } = await ask('/page/events');
    expect([status, headers['retry-after']]).toEqual([503, '5']);
    for (const response of all) response.destroy();
    let again = await watch();
    while (again.statusCode === 503) again = await watch();
    expect(again.headers['content-type']).toContain('text/event-stream');
    for (let visit = 0; visit < 3 * VIEWERS_MAX; visit += 1) {
      again.destroy();
      again = await watch();
    }
    expect([200, 503]).toContain(again.statusCode);
  });
});

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ANSWER_BUFFER_BYTES } from '../../src/data/gateway/fastcgi/answer.ts';
import type { Visit } from '../../src/data/gateway/types.ts';
import { readWorkerMemory } from '../../src/metrics/process-memory.ts';
import { isAlive, killOne, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { get, needPhp, serverVariables, serveUpstream, startPhp } from './php.ts';

const MIB = 1024 * 1024;

/** What Node reads from a socket at once. */
const READ_BYTES = 64 * 1024;

needPhp();

test('a page, and the next ones over the same connection', async () => {
  const php = await startPhp();
  const server = await serveUpstream(php.socketPath);
  const hello = await get(server, '/hello.php');
  expect(hello).toMatchObject({ status: 200, body: 'hello\n' });
  // Known whole, so it needs no chunks.
  expect(hello.headers).toMatchObject({ 'content-length': '6' });
  for (let count = 0; count < 20; count += 1) {
    expect((await get(server, '/pid.php')).body).toBe(String(php.pid));
  }
  expect(server.results.every(({ type }) => type === 'answered')).toBe(true);
});

test('php-cgi is not tired after 500 requests', async () => {
  const php = await startPhp();
  const server = await serveUpstream(php.socketPath);
  for (let count = 0; count < 520; count += 1) await get(server, '/hello.php');
  expect(server.results).toHaveLength(520);
  expect(isAlive(php.pid)).toBe(true);
});

describe('the answer', () => {
  test('keeps cookies and repeated headers apart, and loses those of the connection', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    const lines = ['Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-Test: 1', 'X-Test: 2'];
    lines.push('Transfer-Encoding: chunked', 'Connection: upgrade', 'Upgrade: websocket');
    const { headers, body } = await get(server, headersPath(lines));
    expect(headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(headers['x-test']).toBe('1, 2');
    expect(headers['upgrade']).toBeUndefined();
    expect(headers['transfer-encoding']).toBeUndefined();
    expect(body).toBe('body');
  });

  test.each([
    ['Status: 103 Early Hints', 502],
    ['Status: 404 Not Here', 404],
    ['Location: https://example.org/', 302],
    ['Location: /local', 302],
    ['Content-Length: 3', 200],
    ['Content-Length: 5', 502],
  ])('%s', async (line, status) => {
    const server = await serveUpstream((await startPhp()).socketPath);
    const reply = await get(server, headersPath([line]));
    expect(reply.status).toBe(status);
    if (line === 'Content-Length: 3') expect(reply.body).toBe('bod');
    // And the connection is sound.
    expect((await get(server, '/hello.php')).body).toBe('hello\n');
  });

  test('HEAD and 304 have no body', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    const head = await get(server, '/headers.php?h[]=Content-Length:%204', { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, body: '', headers: { 'content-length': '4' } });
    expect(await get(server, '/headers.php?status=304')).toMatchObject({ status: 304, body: '' });
    expect((await get(server, '/hello.php')).body).toBe('hello\n');
  });

  test('a script that flushes is heard at once', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    const go = join(scratchFolder(), 'go');
    const answer = await fetch(`http://127.0.0.1:${server.port}/steps.php?go=${go}`);
    expect(answer.headers.get('x-accel-buffering')).toBe('no');
    writeFileSync(go, '');
    expect(await answer.text()).toBe('data: first\n\ndata: went\n\n');
  });

  test('a fatal error is a 500, told on STDERR with slot and visit, and the worker lives', async () => {
    const php = await startPhp();
    const server = await serveUpstream(php.socketPath);
    expect((await get(server, '/fatal.php')).status).toBe(500);
    expect(server.stderr[0]).toMatchObject({ slot: 3, visit: { id: 1, target: '/fatal.php' } });
    expect(server.stderr[0]?.text).toContain('Allowed memory size');
    expect((await get(server, '/pid.php')).body).toBe(String(php.pid));
  });

  test('STDERR is not part of it, and bounded', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    expect((await get(server, '/stderr.php')).body).toBe('answer');
    expect(server.stderr[0]?.text).toContain('first message');
    const bytes = server.stderr.reduce((sum, { text }) => sum + text.length, 0);
    expect(bytes).toBeLessThan(70_000);
    expect(server.stderr.at(-1)?.text).toMatch(/more bytes on STDERR$/);
  });
});

describe('the body', () => {
  test.each([0, 1, 65_527, 65_528, 65_529, 5_000_000])('of %i bytes arrives', async (size) => {
    const server = await serveUpstream((await startPhp()).socketPath);
    const body = randomBytes(size);
    const headers = { 'content-type': 'application/octet-stream' };
    const reply = await get(server, '/body.php', { method: 'POST', headers, body });
    const md5 = createHash('md5').update(body).digest('hex');
    expect(JSON.parse(reply.body)).toMatchObject({ length: String(size), bytes: size, md5 });
    expect((await get(server, '/hello.php')).body).toBe('hello\n');
  });

  test('sent in chunks has its exact length', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    const headers = { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' };
    const body = Buffer.alloc(100_000, 'x');
    const reply = await get(server, '/body.php', { method: 'PUT', headers, body });
    expect(JSON.parse(reply.body)).toMatchObject({ length: '100000', bytes: 100_000 });
  });

  test('with files and fields', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    const form = new FormData();
    form.set('name', 'värde');
    form.set('file', new Blob([Buffer.alloc(200_000, 'y')]), 'a.bin');
    const answer = await fetch(`http://127.0.0.1:${server.port}/body.php`, {
      method: 'POST',
      body: form,
    });
    const md5 = createHash('md5').update('y'.repeat(200_000)).digest('hex');
    expect(await answer.json()).toMatchObject({
      post: { name: 'värde' },
      files: { file: [200_000, md5] },
    });
  });

  test('that nobody reads leaves the connection sound', async () => {
    const php = await startPhp();
    const server = await serveUpstream(php.socketPath);
    const body = Buffer.alloc(3 * MIB);
    for (let count = 0; count < 3; count += 1) {
      const reply = await get(server, '/ignore-body.php', { method: 'POST', body });
      expect(reply.body).toBe('not read');
      expect((await get(server, '/pid.php')).body).toBe(String(php.pid));
    }
  });

  test('that is shorter than it said fails, and the worker goes on', async () => {
    const server = await serveUpstream((await startPhp()).socketPath, {
      change: (visit) =>
        visit.method === 'POST' ? { ...visit, body: { ...visit.body, length: 100 } } : visit,
    });
    const body = Buffer.from('short');
    expect((await get(server, '/body.php', { method: 'POST', body })).status).toBe(502);
    expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'unanswered' });
    expect((await get(server, '/hello.php')).body).toBe('hello\n');
  });

  test('without a length is not for CGI', async () => {
    const server = await serveUpstream((await startPhp()).socketPath, {
      change: (visit) => ({ ...visit, body: { ...visit.body, length: null } }),
    });
    expect((await get(server, '/hello.php', { method: 'POST' })).status).toBe(411);
  });
});

describe('a worker that dies', () => {
  test('before its answer: another may try', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    await get(server, '/die.php');
    expect(server.results).toMatchObject([{ type: 'failed', stage: 'unanswered' }]);
  });

  test('amid its answer: the client sees that a part is missing', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    await expect(get(server, '/die.php?after=100000')).rejects.toThrow();
    expect(server.results).toMatchObject([{ type: 'failed', stage: 'cut' }]);
  });

  test('between requests, or was never there: nothing was sent', async () => {
    const php = await startPhp();
    const server = await serveUpstream(php.socketPath);
    await get(server, '/hello.php');
    killOne(php.pid);
    await waitUntil('its death', () => !isAlive(php.pid));
    await get(server, '/hello.php');
    expect(server.results[1]).toMatchObject({ type: 'failed', stage: 'unsent' });
  });
});

test('the last request leaves no connection: TERM works at once', async () => {
  const php = await startPhp();
  const server = await serveUpstream(php.socketPath, { last: () => true });
  // With a connection left to it, php-cgi would swallow the TERM.
  expect((await get(server, '/big.php?mib=3')).body).toHaveLength(3 * MIB);
  killOne(php.pid, 'SIGTERM');
  await waitUntil('its end', () => !isAlive(php.pid), 5_000);
});

test('release closes the idle connection, and after it none is kept', async () => {
  const php = await startPhp();
  const server = await serveUpstream(php.socketPath);
  await get(server, '/hello.php');
  server.upstream.release();
  expect((await get(server, '/hello.php')).status).toBe(200);
  killOne(php.pid, 'SIGTERM');
  await waitUntil('its end', () => !isAlive(php.pid), 5_000);
});

describe('a client that goes away', () => {
  test('while the script is silent: the script ends, then the worker is free', async () => {
    const php = await startPhp();
    const server = await serveUpstream(php.socketPath, { upstream: { abortGraceMs: 20 } });
    const mark = join(scratchFolder(), 'mark');
    await hangUp(`http://127.0.0.1:${server.port}/slow.php?ms=600&mark=${mark}`);
    const next = get(server, '/pid.php');
    // The next one waits in front of the worker, not in its socket.
    await waitUntil('the visit is over', () => server.results.length > 0);
    expect(existsSync(mark)).toBe(true);
    expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'aborted' });
    expect((await next).body).toBe(String(php.pid));
  });

  test('while it talks: after the grace its connection is closed, and it ends', async () => {
    const server = await serveUpstream((await startPhp()).socketPath, {
      upstream: { abortGraceMs: 20 },
    });
    const mark = join(scratchFolder(), 'mark');
    await hangUp(`http://127.0.0.1:${server.port}/chatty.php?mark=${mark}`);
    expect((await get(server, '/hello.php')).body).toBe('hello\n');
    expect(readFileSync(mark, 'utf8')).toBe('ended');
  });

  test('within the grace the connection is kept', async () => {
    const server = await serveUpstream((await startPhp()).socketPath);
    await hangUp(`http://127.0.0.1:${server.port}/slow.php?ms=200`);
    expect((await get(server, '/hello.php')).body).toBe('hello\n');
    expect(server.results[0]).toMatchObject({ stage: 'aborted' });
  });

  test('before it was his turn: the worker never hears of it', async () => {
    const server = await serveUpstream((await startPhp()).socketPath, {
      change: (visit) => ({ ...visit, signal: AbortSignal.abort('client_gone') }),
    });
    const mark = join(scratchFolder(), 'mark');
    await get(server, `/slow.php?ms=0&mark=${mark}`);
    expect(server.results[0]).toMatchObject({ stage: 'aborted' });
    expect(existsSync(mark)).toBe(false);
  });
});

test('a deadline ends the visit, not the script: the worker is asked before it gets more', async () => {
  const server = await serveUpstream((await startPhp()).socketPath);
  const mark = join(scratchFolder(), 'mark');
  const late = get(server, `/slow.php?ms=2000&mark=${mark}`);
  await waitUntil('the script runs', () => existsSync(`${mark}.begun`));
  expect(server.expire()).toBe(1);
  expect((await late).status).toBe(502);
  expect(existsSync(mark)).toBe(false);
  expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'aborted' });
  expect((await get(server, '/hello.php')).body).toBe('hello\n');
  expect(existsSync(mark)).toBe(true);
});

test('nobody waits for a worker in doubt longer than for its answer', async () => {
  const server = await serveUpstream((await startPhp()).socketPath);
  const url = `http://127.0.0.1:${server.port}/steps.php?go=/none`;
  // Its head is here, so the script has begun; it never ends.
  const stuck = await fetch(url);
  expect(server.expire()).toBe(1);
  await expect(stuck.text()).rejects.toThrow();
  const second = get(server, '/hello.php');
  await waitUntil('the second is over', () => server.expire() === 0 && server.results.length > 1);
  expect(server.results).toMatchObject([{ stage: 'aborted' }, { stage: 'aborted' }]);
  expect((await second).status).toBe(502);
});

test('200 MiB to a slow reader: what waits for him is bounded', async () => {
  let response: Visit['response'] | undefined;
  const php = await startPhp();
  const server = await serveUpstream(php.socketPath, {
    change(visit) {
      response = visit.response;
      return visit;
    },
  });
  const answer = await fetch(`http://127.0.0.1:${server.port}/big.php?mib=200`);
  const waiting = (): number => response?.writableLength ?? 0;
  // The kernel's own buffers are full first, then ours.
  await waitUntil('the worker has to wait', () => waiting() > ANSWER_BUFFER_BYTES);
  let [bytes, peak] = [0, 0];
  for await (const piece of answer.body ?? []) {
    bytes += piece.length;
    peak = Math.max(peak, waiting());
  }
  expect(bytes).toBe(200 * MIB);
  expect(peak).toBeGreaterThan(ANSWER_BUFFER_BYTES);
  // One chunk of the worker's may be on top of it.
  expect(peak).toBeLessThan(ANSWER_BUFFER_BYTES + 2 * READ_BYTES);
  expect(readWorkerMemory(php.pid)?.anonBytes).toBeLessThan(60 * MIB);
  expect((await get(server, '/hello.php')).body).toBe('hello\n');
});

test('200 MiB from a client: read no faster than the worker takes them', async () => {
  const block = Buffer.alloc(READ_BYTES, 'x');
  const blocks = (200 * MIB) / READ_BYTES;
  const before = process.memoryUsage().rss;
  let peak = 0;
  function* body(): Generator<Buffer> {
    for (let count = 0; count < blocks; count += 1) {
      if (count % 64 === 0) peak = Math.max(peak, process.memoryUsage().rss - before);
      yield Buffer.from(block);
    }
  }
  const server = await serveUpstream((await startPhp()).socketPath, {
    change: (visit) => ({
      ...visit,
      body: { length: 200 * MIB, replayable: true, open: () => Readable.from(body()) },
    }),
  });
  const reply = await get(server, '/count-body.php', { method: 'PUT' });
  expect(reply.body).toBe(String(200 * MIB));
  // Without back-pressure all of it would be here.
  expect(peak).toBeLessThan(100 * MIB);
});

describe('the head of the request', () => {
  test('that does not fit is refused', async () => {
    const server = await serveUpstream((await startPhp()).socketPath, {
      change: (visit) => {
        visit.request.headers['x-large'] = 'x'.repeat(70_000);
        return visit;
      },
    });
    expect((await get(server, '/hello.php')).status).toBe(431);
  });

  test('may take several records', async () => {
    const server = await serveUpstream((await startPhp()).socketPath, {
      change: (visit) => {
        for (const name of ['a', 'b', 'c'])
          visit.request.headers[`x-${name}`] = name.repeat(50_000);
        return visit;
      },
    });
    const variables = await serverVariables(server, '/vars.php');
    expect(variables['HTTP_X_C']).toBe('c'.repeat(50_000));
  });
});

function headersPath(lines: readonly string[]): string {
  return `/headers.php?${lines.map((line) => `h[]=${encodeURIComponent(line)}`).join('&')}`;
}

/** Asks, and leaves once the script has surely begun. */
async function hangUp(url: string): Promise<void> {
  await expect(
    fetch(url, { signal: AbortSignal.timeout(100) }).then((answer) => answer.text()),
  ).rejects.toThrow();
}

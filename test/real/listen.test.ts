/** Wherever an unmodified app listens, its sockets outlive its workers. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import {
  answers,
  ECHO_APP,
  freePort,
  isAlive,
  killOne,
  statusOf,
  waitUntil,
} from '../support/processes.ts';
import { serveSource } from '../support/inline-app.ts';
import { scratchFolder } from '../support/scratch.ts';
import { readyPids, serve, statusOfPool, stopLoad } from '../support/serve.ts';

/** Its siblings are born by then: the first worker is ready 200 ms after its first port. */
const LATE_MS = 700;

interface Served {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** No `--port` and no `--host` but those of `args`. */
async function serveBare({ args = [], env = {} }: Served): Promise<RunningCofferdam> {
  const pool = await serve([ECHO_APP, '--workers', '2', ...args], { bare: true, env });
  await pool.waitForTold('all_ready');
  return pool;
}

/** Two whole rounds of recycles under load on that address. */
async function expectNothingLostAt(
  pool: RunningCofferdam,
  target: { readonly url: string; readonly socketPath?: string },
): Promise<void> {
  const clients = startClients('agent', target);
  for (const round of [1, 2]) {
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled', 2 * round);
  }
  await stopLoad(clients);
  expect(clients.tally.workers.size).toBeGreaterThan(2);
}

const urlOf = (port: number): string => `http://127.0.0.1:${port}`;
const LOCAL = { HOST: '127.0.0.1' };

describe('an app that listens', () => {
  test('on a hard-coded port is served there', async () => {
    const port = await freePort();
    const pool = await serveBare({ env: { ...LOCAL, PORT_FIXED: String(port) } });
    expect((await statusOfPool(pool)).listen).toEqual([urlOf(port)]);
    await expectNothingLostAt(pool, { url: urlOf(port) });
  });

  test('on a hard-coded port is moved by --port', async () => {
    const [fixed, port] = [await freePort(), await freePort()];
    const args = ['--port', String(port)];
    const pool = await serveBare({ args, env: { ...LOCAL, PORT_FIXED: String(fixed) } });
    expect((await statusOfPool(pool)).listen).toEqual([urlOf(port)]);
    expect(await answers(fixed)).toBe(false);
    await expectNothingLostAt(pool, { url: urlOf(port) });
    expect(await answers(fixed)).toBe(false);
  });

  test('on PORT is served there', async () => {
    const port = await freePort();
    const pool = await serveBare({ env: { ...LOCAL, PORT: String(port) } });
    await expectNothingLostAt(pool, { url: urlOf(port) });
  });

  test('on port 0 keeps the port that it was given', async () => {
    const pool = await serveBare({ args: ['--port', '0', '--host', '127.0.0.1'] });
    const [url = ''] = (await statusOfPool(pool)).listen;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d+$/);
    await expectNothingLostAt(pool, { url });
    expect((await statusOfPool(pool)).listen).toEqual([url]);
  });

  test('with HTTP/2 but without TLS has a URL without TLS', async () => {
    const source = `
      const { createServer } = require('node:http2');
      createServer((_, response) => response.end('ok')).listen(process.env.PORT, process.env.HOST);
    `;
    const pool = await serveSource(source);
    expect((await statusOfPool(pool)).listen).toEqual([urlOf(pool.port)]);
  });

  test('on two ports is served on both', async () => {
    const [port, second] = [await freePort(), await freePort()];
    const pool = await serveBare({
      env: { ...LOCAL, PORT: String(port), TWO_PORTS: String(second) },
    });
    expect((await statusOfPool(pool)).listen).toEqual([urlOf(port), urlOf(second)]);
    const clients = startClients('agent', { url: urlOf(second) });
    await expectNothingLostAt(pool, { url: urlOf(port) });
    await stopLoad(clients);
  });

  test('on a second port, long after the first, is served on both by all', async () => {
    const second = await freePort();
    const source = `
      const { createServer } = require('node:http');
      const answer = (_, response) => response.end('ok');
      createServer(answer).listen(process.env.PORT);
      const late = createServer(answer);
      setTimeout(() => late.listen(${second}, () => console.log('second')), ${LATE_MS});
    `;
    const pool = await serveSource(source, ['--workers', '3']);
    await waitUntil('three on the second port', () => pool.stdout.split('second').length > 3);
    expect(pool.told('worker_crashed')).toEqual([]);
    expect((await statusOfPool(pool)).listen.length).toBe(2);
    expect(await statusOf(urlOf(second))).toBe(200);
  });

  test('on a unix socket: the file survives recycles and crashes, and is gone at the end', async () => {
    const socketPath = join(scratchFolder(), 'app.sock');
    const pool = await serveBare({ env: { UNIX_SOCKET: socketPath, KEEP_ALIVE_MS: '1000' } });
    expect((await statusOfPool(pool)).listen).toEqual([`unix:${socketPath}`]);
    await expectNothingLostAt(pool, { url: 'http://app', socketPath });
    const pid = readyPids(pool).findLast(isAlive) ?? 0;
    killOne(pid);
    await pool.waitForTold('worker_crashed');
    expect(existsSync(socketPath)).toBe(true);
    await pool.stop();
    expect(readdirSync(dirname(socketPath))).toEqual([]);
  });

  test('on a unix socket can be started again after the supervisor was killed with -9', async () => {
    const socketPath = join(scratchFolder(), 'app.sock');
    const first = await serveBare({ env: { UNIX_SOCKET: socketPath } });
    const family = first.workers();
    killOne(first.pid);
    await waitUntil('everybody gone', () => !family.some(isAlive));
    const next = await serveBare({ env: { UNIX_SOCKET: socketPath } });
    await expectNothingLostAt(next, { url: 'http://app', socketPath });
  });
});

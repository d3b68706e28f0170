/** php-cgi workers that die, hang or fail; clients that are slow; a supervisor that ends. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { request } from 'undici';
import { describe, expect, test } from 'vitest';
import { needPhp } from '../gateway/php.ts';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { askOps, opsUrl } from '../support/ops.ts';
import { isAlive, killOne, processesOf, waitUntil } from '../support/processes.ts';
import { PHP_ECHO, PHP_LAYOUTS, phpPids, servePhp } from '../support/php.ts';
import { scratchFolder } from '../support/scratch.ts';
import { serve, statusOfPool, stopLoad, workerEvents } from '../support/serve.ts';

needPhp();

const MIB = 2 ** 20;

async function ask(
  pool: RunningCofferdam,
  path: string,
  method: 'GET' | 'POST' = 'GET',
): Promise<{ status: number; text: string }> {
  const { statusCode, body } = await request(pool.url + path, { method });
  return { status: statusCode, text: await body.text() };
}

describe.each(PHP_LAYOUTS)('a worker, %s,', (layout) => {
  test('that is killed in a GET is replaced, and the GET answered by another', async () => {
    const pool = await servePhp([], layout);
    const file = join(scratchFolder(), 'died');
    expect((await ask(pool, `/die?file=${file}`)).status).toBe(200);
    expect((await ask(pool, '/die', 'POST')).status).toBe(502);
    await waitUntil('both replaced', () => phpPids(pool).length >= 4);
    // A child is reaped by its parent, which keeps the signal to itself.
    const signal = layout === 'isolated' ? 'SIGKILL' : null;
    expect(workerEvents(pool, 'worker_crashed')).toMatchObject([{ signal }, { signal }]);
  });

  test('that fails says so in the log, and lives on', async () => {
    const pool = await servePhp(['--workers', '1'], layout);
    const [pid] = phpPids(pool);
    expect((await ask(pool, '/fatal')).status).toBe(500);
    await waitUntil('its words', () => workerEvents(pool, 'php_stderr').length > 0);
    const [said] = workerEvents(pool, 'php_stderr');
    const visit = { method: 'GET', target: '/fatal', visitId: expect.any(Number) as number };
    expect(said).toMatchObject({ slot: 1, ...visit });
    expect(said?.['text']).toMatch(
      /it is about to fail[\s\S]*undefined_function\(\) in .*index\.php/,
    );
    expect((await ask(pool, '/')).text).toContain(`worker=${pid}`);
  });

  test('that takes too long is named with its script, answered for and replaced', async () => {
    const pool = await servePhp(['--request-timeout', '4s', '--slow-log', '500ms'], layout);
    const [slow, stuck] = await Promise.all([
      ask(pool, '/slow?ms=2000'),
      ask(pool, '/slow?ms=30000'),
    ]);
    expect([slow.status, stuck.status]).toEqual([200, 504]);
    await pool.waitFor(/"event":"recycled"/);
    const [recycled] = workerEvents(pool, 'recycled');
    expect(recycled?.['reason']).toBe('request_timeout');
    const slot = recycled?.['slot'];
    const facts = { method: 'GET', script: PHP_ECHO, tookMs: expect.any(Number) as number };
    const stack = `usleep() < wait_long() ${PHP_ECHO}:55 < ${PHP_ECHO}:21`;
    expect(workerEvents(pool, 'request_timeout')).toMatchObject([
      {
        ...facts,
        slot,
        target: '/slow?ms=30000',
        stack,
      },
    ]);
    // Both were told long before, while they ran; the end of one of them as well.
    const told = workerEvents(pool, 'slow_request');
    expect(told.map(({ target }) => String(target)).toSorted()).toEqual([
      '/slow?ms=2000',
      '/slow?ms=30000',
    ]);
    for (const each of told) expect(each).toMatchObject({ ...facts, stack });
    for (const { tookMs } of told) expect(tookMs).toBeLessThan(2000);
    expect(workerEvents(pool, 'slow_request_ended')).toMatchObject([
      { ...facts, status: 200, target: '/slow?ms=2000' },
    ]);
    const order = pool.events.map(({ event }) => event);
    expect(order.lastIndexOf('slow_request')).toBeLessThan(order.indexOf('request_timeout'));
    expect((await ask(pool, '/')).status).toBe(200);
  });
});

describe('a slow client', () => {
  test('gets 2 GB, which nobody holds in memory for it', { timeout: 120_000 }, async () => {
    const pool = await servePhp(['--workers', '1']);
    const mib = 2048;
    const socket = connect(pool.port, '127.0.0.1');
    socket.write(`GET /big?mb=${mib} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    let bytes = 0;
    let paused = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes < (paused + 1) * 200 * MIB) return;
      paused += 1;
      socket.pause();
      setTimeout(() => socket.resume(), 50);
    });
    const over = new Promise((resolve) => socket.once('close', resolve));
    await waitUntil('a pause', () => paused > 0);
    const peaks = processesOf(pool.pid).map(peakBytes);
    await over;
    expect(bytes).toBeGreaterThan(mib * MIB);
    peaks.push(...processesOf(pool.pid).map(peakBytes));
    // An idle gateway has 70 MiB with the Node binary in it.
    expect(Math.max(...peaks)).toBeLessThan(200 * MIB);
  });

  test('who reads nothing holds one worker, and none once it has left', async () => {
    const pool = await servePhp(['--workers', '2']);
    const socket = connect(pool.port, '127.0.0.1').pause();
    socket.write('GET /big?mb=100 HTTP/1.1\r\nHost: x\r\n\r\n');
    const busy = async (): Promise<number> => {
      const { workers } = await statusOfPool(pool);
      return workers.filter(({ inFlight }) => inFlight > 0).length;
    };
    await waitUntil('a worker writes to it', async () => (await busy()) === 1);
    for (let count = 0; count < 5; count += 1) expect((await ask(pool, '/')).status).toBe(200);
    expect(await busy()).toBe(1);
    socket.destroy();
    await waitUntil('nobody is busy', async () => (await busy()) === 0);
    expect(workerEvents(pool, 'worker_crashed')).toEqual([]);
  });

  test('that uploads much is spooled, and every byte arrives', async () => {
    const pool = await servePhp(['--spool-above', '64KiB']);
    const options = { clients: 4, paths: ['POST /upload', 'GET /'], bodyBytes: 2 * MIB };
    const clients = startClients('raw', pool, options);
    await stopLoad(clients);
  });
});

describe('a health check', () => {
  test('overtakes those who wait', async () => {
    const pool = await servePhp([
      '--workers',
      '1',
      '--ops',
      '127.0.0.1:0',
      '--health-path',
      '/health',
    ]);
    const waiting = Array.from({ length: 12 }, () => ask(pool, '/slow?ms=250'));
    let answered = 0;
    for (const each of waiting) void each.then(() => (answered += 1));
    await waitUntil('the first', () => answered > 0);
    expect((await askOps(`${await opsUrl(pool)}/health`)).status).toBe(200);
    expect(answered).toBeLessThan(waiting.length - 2);
    await Promise.all(waiting);
  });

  test('has a worker of its own, which the public never meets', async () => {
    const reserved = ['--health-path', '/health', '--health-mode', 'reserved'];
    const pool = await servePhp(['--workers', '1', ...reserved], 'isolated');
    const health = `${await opsUrl(pool)}/health`;
    await waitUntil('the reserved one', async () => (await askOps(health)).status === 200);
    expect((await ask(pool, '/')).text).toContain(`worker=${phpPids(pool)[0]}`);
  });

  test('has a worker of its own while all others are stuck', async () => {
    const reserved = ['--health-path', '/health', '--health-mode', 'reserved'];
    const pool = await servePhp(['--drain-timeout', '100ms', ...reserved]);
    const health = `${await opsUrl(pool)}/health`;
    await waitUntil('the reserved one', async () => (await askOps(health)).status === 200);
    const stuck = [1, 2, 3].map(() => ask(pool, '/slow?ms=30000').catch(() => null));
    await waitUntil('two stuck', () => bothInFlight(pool));
    const { status, tookMs } = await askOps(health);
    expect(status).toBe(200);
    expect(tookMs).toBeLessThan(2000);
    await pool.stop();
    await Promise.all(stuck);
  });
});

describe.each(PHP_LAYOUTS)('the end, %s,', (layout) => {
  test('waits for what is in flight', async () => {
    const pool = await servePhp([], layout);
    const asked = [1, 2].map(() => ask(pool, '/slow?ms=1200'));
    await waitUntil('both in flight', () => bothInFlight(pool));
    expect(await pool.stop()).toEqual({ code: 0, signal: null });
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200]);
  });

  test('comes at its deadline, whatever scripts do', async () => {
    const limits = ['--drain-timeout', '300ms', '--kill-timeout', '300ms'];
    const pool = await servePhp(limits, layout);
    const family = processesOf(pool.pid);
    const asked = [1, 2].map(() => ask(pool, '/slow?ms=60000').catch(() => null));
    await waitUntil('both in flight', () => bothInFlight(pool));
    expect((await pool.stop()).code).toBe(5);
    expect(family.filter(isAlive)).toEqual([]);
    await Promise.all(asked);
  });

  test('of a supervisor killed with -9 is the end of every php-cgi', async () => {
    const pool = await servePhp([], layout);
    const family = processesOf(pool.pid);
    expect(family).toEqual(expect.arrayContaining(phpPids(pool)));
    const asked = ask(pool, '/slow?ms=800').catch(() => null);
    killOne(pool.pid);
    await waitUntil('everybody gone', () => !family.some(isAlive));
    await asked;
  });
});

describe('what cannot be served', () => {
  test.each([
    ['php-cgi', [PHP_ECHO, '--php-binary', '/nowhere/php-cgi'], 4, /ENOENT[\s\S]*apt-get install/],
    [
      'a parent',
      [PHP_ECHO, '--php-layout', 'zygote', '--php-binary', '/nowhere/php-cgi'],
      4,
      /ENOENT[\s\S]*apt-get install/,
    ],
    ['the root', ['--kind', 'php', '--root', '/nowhere'], 2, /there is no \/nowhere/],
    ['the script', ['/nowhere/index.php'], 2, /there is no \/nowhere\/index\.php/],
  ])('without %s it says what to do', async (_, args, code, message) => {
    const pool = await serve(args);
    expect((await pool.exited).code).toBe(code);
    expect(pool.stderr).toMatch(message);
  });
});

async function bothInFlight(pool: RunningCofferdam): Promise<boolean> {
  const { body } = await askOps(`${await opsUrl(pool)}/status`);
  return [...body.matchAll(/"inFlight":\s*1/g)].length >= 2;
}

/** The most memory that a process ever had; 0 once it is gone. */
function peakBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Programs that hang, leave their port or hide: what is noticed of it from outside, and what not. */
import { describe, expect, test } from 'vitest';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { isAlive, statusOf, waitUntil } from '../support/processes.ts';
import { writeApp } from '../support/scratch.ts';
import { serve } from '../support/serve.ts';

/** It knows nothing of Cofferdam: a command like any other. */
const CODE = `
  let asked = 0;
  const pages = {
    '/hang': () => { for (;;); },
    '/block': (response) => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 12_000);
      response.end('late');
    },
    '/long': (response) => setTimeout(() => response.end(String(asked)), 12_000),
    '/leave': (response) => {
      response.end('bye', () => server.closeAllConnections());
      server.close();
      setInterval(() => {}, 1e6);
    },
    '*': (response) => { asked += 1; response.writeHead(405).end(); },
  };
  const server = require('node:http').createServer((request, response) => {
    const page = pages[request.url];
    if (page === undefined) response.end(String(process.pid));
    else page(response);
  });
  server.listen(process.env.PORT, process.env.HOST);
`;

/** The shortest that there is: it is asked after 5 s of silence, and given up 3 s later. */
const IMPATIENT = ['--unresponsive-timeout', '3s', '--kill-timeout', '1s'];
const timeout = 60_000;

async function serveProgram(
  args: readonly string[],
  code: string = CODE,
): Promise<RunningCofferdam> {
  const pool = await serve([...IMPATIENT, ...args, '--', process.execPath, writeApp(code)]);
  await pool.waitForTold('all_ready', 2);
  return pool;
}

const post = (pool: RunningCofferdam, path: string): Promise<Response> =>
  fetch(pool.url + path, { method: 'POST' });

describe('a program', { timeout }, () => {
  test('that hangs is noticed, and replaced; what may be repeated is answered', async () => {
    const pool = await serveProgram(['--workers', '2']);
    const hung = post(pool, '/hang');
    const others = Array.from({ length: 6 }, () => statusOf(pool.url));
    await pool.waitForTold('recycled');
    expect(pool.told('recycled')).toMatchObject([{ reason: 'unresponsive', limit: '3s' }]);
    expect((await hung).status).toBe(502);
    expect(await Promise.all(others)).toEqual(others.map(() => 200));
    const [unresponsive] = pool.told('unresponsive');
    expect(isAlive(unresponsive?.pid ?? 0)).toBe(false);
    expect(pool.told('unresponsive').length).toBe(1);
  });

  test('that listens no more is noticed as well', async () => {
    const pool = await serveProgram(['--workers', '2']);
    expect((await post(pool, '/leave')).status).toBe(200);
    // Only a request finds out that nobody is there; it is answered by another.
    await waitUntil('its replacement', async () => {
      expect(await statusOf(pool.url)).toBe(200);
      return pool.told('recycled').length > 0;
    });
    expect(pool.told('recycled')).toMatchObject([{ reason: 'unresponsive' }]);
  });

  test('with one long request is asked, answers, and is left alone', async () => {
    const pool = await serveProgram(['--workers', '1']);
    const answer = await fetch(`${pool.url}/long`);
    expect(Number(await answer.text())).toBeGreaterThan(0);
    expect(pool.told('unresponsive')).toEqual([]);
  });

  test('that may have one request at a time is busy with it, not hung', async () => {
    const pool = await serveProgram(['--workers', '1', '--concurrency', '1']);
    expect(await (await fetch(`${pool.url}/block`)).text()).toBe('late');
    expect(pool.told('unresponsive')).toEqual([]);
  });
});

describe('a program that makes itself a daemon', { timeout }, () => {
  test('before it listens: it does not boot, and is told to stay', async () => {
    const pool = await serve(['--', 'sh', '-c', 'setsid sleep 3 & exit 0']);
    expect(await pool.exited).toEqual({ code: 4, signal: null });
    expect(pool.stderr).toMatch(/exited with code 0 before it listened/);
    expect(pool.stderr).toContain('has to be told to stay in the foreground');
  });

  test('when it listens: its end is told with the likely reason', async () => {
    // The first process goes as soon as the second one serves, as many daemons do.
    const pool = await serveProgram(
      ['--workers', '1'],
      `
        const { spawn } = require('node:child_process');
        const code = \`
          const server = require('node:http').createServer((request, response) => response.end());
          server.listen(process.env.PORT, process.env.HOST);
          setTimeout(() => process.exit(), 10_000);
        \`;
        spawn(process.execPath, ['-e', code], { detached: true, stdio: 'ignore' });
        setTimeout(() => process.exit(0), 3000);
      `,
    );
    await pool.waitForTold('worker_crashed');
    const [crashed] = pool.told('worker_crashed');
    expect(crashed).toMatchObject({ code: 0 });
    expect(crashed?.detail).toContain('it has to stay in the foreground');
  });
});

/** What was once lost in a recycle, a hand-over or a stop, and must not be lost again. */
import { connect, type Socket } from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ask, connectTo, serveSource } from '../support/inline-app.ts';

const SERVER = `const http = require('node:http');
const pid = String(process.pid);
`;

async function recycleOnce(pool: Awaited<ReturnType<typeof serveSource>>): Promise<void> {
  const count = pool.told('recycled').length;
  pool.signal('SIGUSR2');
  await pool.waitForTold('recycled', count + 1);
}

describe('a connection that was handed over', () => {
  // To Node it looks like a new one, which has to send its first request within headersTimeout.
  test('may stay idle for longer than the headersTimeout of its new server', async () => {
    const pool = await serveSource(
      `${SERVER}
      const server = http.createServer({ connectionsCheckingInterval: 100 }, (q, r) => r.end(pid));
      server.headersTimeout = server.requestTimeout = 500;
      server.keepAliveTimeout = 60_000;
      server.listen(process.env.PORT);`,
      ['--workers', '1'],
    );
    const connection = await connectTo(pool);
    const first = await ask(connection);
    await recycleOnce(pool);
    // The time itself is what is tested: three times the timeout.
    await sleep(1500);
    expect(connection.usable).toBe(true);
    expect(await ask(connection)).not.toBe(first);
    // And the guard against slow headers works on it as ever.
    connection.socket.write('GET / HTTP/1.1\r\nhost:');
    expect((await connection.readAnswer().catch(() => ({ status: 408 }))).status).toBe(408);
  });
});

describe('connections', () => {
  // Those that the full server refused once hung for ever, without an answer or an end.
  test('are kept when their new server is full', async () => {
    const pool = await serveSource(
      `${SERVER}
      const server = http.createServer((q, r) => r.end(pid));
      server.maxConnections = 5;
      server.keepAliveTimeout = 60_000;
      server.listen(process.env.PORT);`,
      ['--workers', '1'],
    );
    const connections = await Promise.all(Array.from({ length: 5 }, () => connectTo(pool)));
    await Promise.all(connections.map((each) => ask(each)));
    // These fill the new server before the old connections come to it.
    const crowd: Socket[] = [];
    const enter = setInterval(() => {
      if (crowd.length < 2000) crowd.push(connect(pool.port, '127.0.0.1').on('error', () => {}));
    }, 1);
    for (let i = 0; i < 5; i++) await recycleOnce(pool);
    clearInterval(enter);
    for (const socket of crowd) socket.destroy();
    const newest = String(pool.told('worker_ready').at(-1)?.pid);
    expect(await Promise.all(connections.map((each) => ask(each)))).toEqual(
      connections.map(() => newest),
    );
  });

  // Once, the only worker waited for idle clients until its deadline, with nobody serving.
  test('wait with the supervisor while the old worker leaves first', async () => {
    const pool = await serveSource(
      `${SERVER}
      const server = http.createServer((q, r) => r.end(pid));
      server.keepAliveTimeout = 60_000;
      setTimeout(() => server.listen(process.env.PORT), 300);`,
      ['--workers', '1', '--surge', '0', '--drain-timeout', '20s'],
    );
    const connections = await Promise.all(Array.from({ length: 20 }, () => connectTo(pool)));
    await Promise.all(connections.map((each) => ask(each)));
    await recycleOnce(pool);
    const [recycled] = pool.told('recycled');
    expect(recycled).toMatchObject({ moved: 20, cutRequests: 0 });
    expect(recycled?.drainMs).toBeLessThan(10_000);
    const newest = String(pool.told('worker_ready').at(-1)?.pid);
    expect(await Promise.all(connections.map((each) => ask(each)))).toEqual(
      connections.map(() => newest),
    );
  });
});

describe("the app's listener of 'cofferdam:drain'", () => {
  test('costs no request when it throws', async () => {
    const pool = await serveSource(
      `${SERVER}
      process.on('cofferdam:drain', () => { throw new Error('no goodbye'); });
      http.createServer((q, r) => setTimeout(() => r.end(pid), 1500)).listen(process.env.PORT);`,
      ['--workers', '1'],
    );
    const connection = await connectTo(pool);
    const answer = ask(connection);
    await sleep(100);
    await recycleOnce(pool);
    expect(await answer).toBe(String(pool.told('worker_ready')[0]?.pid));
    expect(pool.told('worker_crashed')).toEqual([]);
    expect(pool.stderr).toContain('no goodbye');
  });
});

describe('an app that closes its server at SIGTERM', () => {
  // The drain had closed it already: ERR_SERVER_NOT_RUNNING in the log of every recycle.
  test('finds it running', async () => {
    const pool = await serveSource(
      `${SERVER}
      const server = http.createServer((q, r) => r.end(pid)).listen(process.env.PORT);
      process.once('SIGTERM', () => server.close((error) => {
        console.error(error ?? 'closed without an error');
        process.exit(error ? 1 : 0);
      }));`,
      ['--workers', '1'],
    );
    await ask(await connectTo(pool));
    await recycleOnce(pool);
    await pool.waitFor(/closed without an error/);
    expect(pool.stderr).not.toContain('ERR_SERVER_NOT_RUNNING');
  });
});

describe('a stop', () => {
  const app = `${SERVER}
    http.createServer((q, r) => setTimeout(() => r.end(pid), 10)).listen(process.env.PORT);`;

  // Once, idle connections were handed to siblings that were told to leave in the same moment.
  test.each(['at rest', 'in the middle of a recycle'])(
    'answers every request on the connections that were open, %s',
    async (when) => {
      const pool = await serveSource(app, ['--workers', '2']);
      const lost: string[] = [];
      let answered = 0;
      const client = async (): Promise<void> => {
        const connection = await connectTo(pool);
        while (connection.usable) {
          await ask(connection).then(
            () => (answered += 1),
            (error: Error) => lost.push(error.message),
          );
          if (connection.usable) await sleep(Math.random() * 100);
          // A client that was held up for a second sees the end that has come before it asks again.
          await setImmediate();
        }
      };
      const clients = Array.from({ length: 150 }, client);
      await sleep(500);
      if (when !== 'at rest') {
        pool.signal('SIGUSR2');
        await pool.waitForTold('worker_ready', 3);
      }
      pool.signal('SIGTERM');
      await Promise.all(clients);
      expect(await pool.exited).toEqual({ code: 0, signal: null });
      expect(lost).toEqual([]);
      expect(answered).toBeGreaterThan(300);
    },
  );
});

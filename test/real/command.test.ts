/** Programs of other languages as workers: the same life as a Node app, behind the gateway. */
import { once } from 'node:events';
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { request } from 'undici';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { startEventReaders, startWebSockets } from '../support/long-lived-clients.ts';
import { askOps, opsUrl, seriesOf } from '../support/ops.ts';
import {
  APPS_FOLDER,
  ECHO_APP,
  isAlive,
  killOne,
  statusOf,
  waitUntil,
} from '../support/processes.ts';
import {
  expectCleanRecycles,
  expectMakeBeforeBreak,
  recycleTimes,
  RECYCLE_TEST_MS,
} from '../support/recycling.ts';
import { scratchFolder, writeApp } from '../support/scratch.ts';
import { serve, statusOfPool, stopLoad } from '../support/serve.ts';
import { failureClasses, failuresOf, NO_FAILURES } from '../support/tally.ts';
import { findTool, lacks } from '../support/tools.ts';

/** `scripts/setup.mjs` builds it. */
const GO_SERVICE = `${APPS_FOLDER}go/.cache/service`;
const PATHS = ['GET /', 'POST /upload', 'GET /slow?ms=10', 'GET /download?bytes=40000'];

async function serveCommand(
  command: readonly string[],
  args: readonly string[] = [],
): Promise<RunningCofferdam> {
  const workers = args.includes('--workers') ? [] : ['--workers', '2'];
  const pool = await serve([...workers, ...args, '--', ...command]);
  // The gateway's first, then that of the workers.
  await pool.waitForTold('all_ready', 2);
  return pool;
}

/** A Node program that is told nothing of being one: `node -e` is a command like any other. */
function program(code: string): readonly string[] {
  return [process.execPath, writeApp(code)];
}

const LISTENS = `
  const server = require('node:http').createServer((request, response) => response.end('ok'));
  server.listen(process.env.PORT, process.env.HOST);
`;

async function recycleUnderLoad(pool: RunningCofferdam, recycles: number): Promise<void> {
  const clients = startClients('undici', pool, { clients: 8, paths: PATHS });
  await recycleTimes(pool, recycles);
  await stopLoad(clients);
  expectCleanRecycles(pool.told('recycled'), recycles);
  expectMakeBeforeBreak(pool.events);
}

describe.skipIf(lacks('go') && !existsSync(GO_SERVICE))('a Go service', () => {
  const timeout = RECYCLE_TEST_MS;

  test('on {socket}: 50 recycles under load, none lost', { timeout }, async () => {
    await recycleUnderLoad(await serveCommand([GO_SERVICE, '{socket}']), 50);
  });

  test.each([
    ['WebSockets', startWebSockets],
    ['event streams', startEventReaders],
  ])('keeps its %s until their own deadline', async (_, start) => {
    const deadlines = ['--drain-timeout', '500ms', '--long-drain-timeout', '3s'];
    const pool = await serveCommand([GO_SERVICE, '{socket}'], [...deadlines, '--workers', '1']);
    const longLived = start(pool.url, 1);
    await waitUntil('messages', () => longLived.tally.ok > 5);
    pool.signal('SIGUSR2');
    await pool.waitForTold('worker_ready', 3);
    const { ok } = longLived.tally;
    await waitUntil('messages of the old worker', () => longLived.tally.ok > ok + 20);
    expect(failureClasses(longLived.tally)).toEqual(NO_FAILURES);
    await pool.waitForTold('recycled');
    expect(pool.told('recycled')[0]).toMatchObject({ cutRequests: 0, cutLongLived: 1 });
    await longLived.stop();
  });

  test('loses nothing but what lasts too long, with WebSockets among all else', async () => {
    const deadlines = ['--drain-timeout', '2s', '--long-drain-timeout', '3s'];
    const pool = await serveCommand([GO_SERVICE, '{socket}'], deadlines);
    const sockets = startWebSockets(pool.url, 2);
    await waitUntil('messages', () => sockets.tally.ok > 5);
    await recycleUnderLoad(pool, 4);
    const tally = await sockets.stop();
    const cut = pool.told('recycled').map(({ cutLongLived }) => cutLongLived);
    const sum = cut.reduce((all, each) => all + each, 0);
    expect(sum).toBeGreaterThan(0);
    // A client whose socket was cut comes back; no message was lost on one that was not.
    expect(failuresOf(tally)).toBeLessThanOrEqual(sum);
    const { reset, notes } = tally;
    expect(failureClasses(tally)).toEqual({ ...NO_FAILURES, reset, notes });
  });

  test('sends trailers through a recycle', async () => {
    const pool = await serveCommand([GO_SERVICE, '{socket}']);
    const trailer = async (): Promise<unknown> => {
      const { body, trailers } = await request(`${pool.url}/trailer`);
      return [await body.text(), trailers];
    };
    const before = await trailer();
    await recycleTimes(pool, 2);
    expect([before, await trailer()]).toEqual([
      ['body', { 'x-sum': '12' }],
      ['body', { 'x-sum': '12' }],
    ]);
  });

  test('on $PORT, and TERM ends it with what it has', { timeout }, async () => {
    const pool = await serveCommand([GO_SERVICE]);
    await recycleUnderLoad(pool, 10);
    expect((await pool.stop()).code).toBe(0);
    expect(pool.workers()).toEqual([]);
  });
});

describe.skipIf(lacks('uvicorn'))('a Python ASGI service', () => {
  const uvicorn = [findTool('uvicorn') ?? 'uvicorn', '--app-dir', `${APPS_FOLDER}python`];

  test('on {socket} is recycled under load', { timeout: RECYCLE_TEST_MS }, async () => {
    // Each boot takes a second: fifty were run by hand, without a loss.
    const quiet = ['--log-level', 'critical'];
    const pool = await serveCommand([...uvicorn, 'echo_asgi:app', '--uds', '{socket}', ...quiet]);
    await recycleUnderLoad(pool, 8);
  });
});

describe.skipIf(lacks('python3'))('a Python service that leaks', () => {
  const LEAKY = `
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

kept = []

class Leaky(BaseHTTPRequestHandler):
    def do_GET(self):
        kept.append(bytearray(os.urandom(1024) * 1024))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.sys.argv[1])), Leaky).serve_forever()
`;

  test('on {port} is replaced before its limit', { timeout: RECYCLE_TEST_MS }, async () => {
    const folder = scratchFolder();
    writeFileSync(join(folder, 'leaky.py'), LEAKY);
    const limits = ['--max-memory', '120MiB', '--min-age', '1s', '--workers', '1'];
    const python = findTool('python3') ?? 'python3';
    const pool = await serveCommand([python, join(folder, 'leaky.py'), '{port}'], limits);
    const failed: unknown[] = [];
    const isOver = (): boolean => pool.told('recycled').length >= 2;
    while (!isOver()) {
      const status = await statusOf(`${pool.url}/`).catch((error: unknown) => error);
      if (status !== 200) failed.push(status);
    }
    expect(failed).toEqual([]);
    for (const { reason } of pool.told('recycled')) expect(reason).toMatch(/max_memory|predicted/);
  });
});

describe('a program', () => {
  test('that ends at boot: exit code 4, and its own words', async () => {
    const pool = await serve(['--', 'sh', '-c', 'echo no such table >&2; exit 3']);
    expect(await pool.exited).toEqual({ code: 4, signal: null });
    expect(pool.stderr).toMatch(/sh does not boot: exited with code 3 before .*: no such table/);
    expect(pool.workers()).toEqual([]);
  });

  test('that never listens: the boot timeout ends it', async () => {
    const pool = await serve(['--boot-timeout', '1s', '--', 'sleep', '1000']);
    expect(await pool.exited).toEqual({ code: 4, signal: null });
    expect(pool.stderr).toMatch(/sleep does not boot: did not listen within 1s/);
    expect(pool.stderr).toContain('A command has to listen on $PORT, {port} or {socket}.');
  });

  test('that is not there', async () => {
    const pool = await serve(['--', './no-such-program']);
    expect(await pool.exited).toEqual({ code: 4, signal: null });
    expect(pool.stderr).toContain('There is no such program, neither at that path nor in PATH.');
  });

  test('that ignores TERM is killed, with all that it started', async () => {
    const code = `
      const { spawn } = require('node:child_process');
      const child = spawn('sleep', ['1000']);
      process.on('SIGTERM', () => {});
      const server = require('node:http').createServer((request, response) =>
        response.end(String(child.pid)));
      server.listen(process.env.PORT, process.env.HOST);
    `;
    const pool = await serveCommand(program(code), ['--kill-timeout', '300ms', '--workers', '1']);
    const child = Number(await (await fetch(pool.url)).text());
    expect(isAlive(child)).toBe(true);
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled');
    expect(pool.told('recycled')[0]).toMatchObject({ killed: true });
    await waitUntil('its child is gone', () => !isAlive(child));
    expect(await statusOf(pool.url)).toBe(200);
    await pool.stop();
    expect(pool.workers()).toEqual([]);
  });

  test('whose own processes grow is measured with them', { timeout: 60_000 }, async () => {
    const code = `
      require('node:child_process').spawn(process.execPath,
        ['-e', 'globalThis.kept = Buffer.alloc(150 * 2 ** 20, 1); setInterval(() => {}, 1e6)']);
      ${LISTENS}
    `;
    const pool = await serveCommand(program(code), ['--workers', '1']);
    await waitUntil('both are counted', async () => {
      const [worker] = (await statusOfPool(pool)).workers;
      return (worker?.memoryBytes ?? 0) > 150 * 2 ** 20;
    });
  });
});

describe('a Node app behind the gateway', () => {
  const gateway = ['--dispatch', 'gateway'];

  test('is recycled under load; WebSockets live on', { timeout: RECYCLE_TEST_MS }, async () => {
    const args = [ECHO_APP, '--workers', '2', ...gateway];
    const pool = await serve(args, { env: { POLITE: '1' } });
    await pool.waitForTold('all_ready', 2);
    const sockets = startWebSockets(pool.url, 2);
    await recycleUnderLoad(pool, 10);
    await waitUntil('echoes', () => sockets.tally.ok > 20);
    expect(failureClasses(await sockets.stop())).toEqual(NO_FAILURES);
  });

  test('says goodbye to a WebSocket that was agreed to while it left', async () => {
    const args = [ECHO_APP, '--workers', '1', ...gateway];
    const pool = await serve(args, { env: { POLITE: '1', UPGRADE_MS: '2000' } });
    await pool.waitForTold('all_ready', 2);
    const sockets = startWebSockets(pool.url, 1);
    await waitUntil('it is on its way', async () => {
      const { workers } = await statusOfPool(pool);
      return workers.some(({ inFlight }) => inFlight > 0);
    });
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled');
    expect(pool.told('recycled')[0]).toMatchObject({ cutLongLived: 0, killed: false });
    await waitUntil('its goodbye', () => sockets.goodbyes === 1);
    expect(failureClasses(await sockets.stop())).toEqual(NO_FAILURES);
  });

  test('with a full queue: 503, when to come again, and it is counted', async () => {
    const limits = ['--concurrency', '1', '--queue-length', '1', '--ops', '127.0.0.1:0'];
    const pool = await serve([ECHO_APP, '--workers', '1', ...gateway, ...limits]);
    await pool.waitForTold('all_ready', 2);
    const ops = await opsUrl(pool);
    const metric = async (name: string): Promise<number> =>
      seriesOf((await askOps(`${ops}/metrics`)).body, `cofferdam_${name}`);
    const served = statusOf(`${pool.url}/slow?ms=3000`);
    await waitUntil('one is served', () => metric('requests_in_flight{pool="app"}').then(Boolean));
    const waiting = statusOf(`${pool.url}/`);
    await waitUntil('one waits', async () => (await metric('queue_depth{pool="app"}')) === 1);
    expect((await statusOfPool(pool)).pools[0]?.waiting).toBe(1);
    const refused = await fetch(pool.url);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await Promise.all([served, waiting])).toEqual([200, 200]);
    const full = 'queue_rejections_total{pool="app",reason="queue_full"}';
    await waitUntil('it is counted', async () => (await metric(full)) === 1);
    const waited = 'queue_wait_seconds_count{pool="app"}';
    await waitUntil('both are counted', async () => (await metric(waited)) >= 2);
    expect(await metric('queue_wait_seconds_sum{pool="app"}')).toBeGreaterThan(0.5);
  });

  test('with a deadline: 504, and a new worker for the one that is stuck', async () => {
    const pool = await serve([ECHO_APP, '--workers', '1', ...gateway, '--request-timeout', '1s']);
    await pool.waitForTold('all_ready', 2);
    const target = '/slow?ms=60000';
    expect(await statusOf(pool.url + target)).toBe(504);
    await pool.waitForTold('recycled');
    expect(pool.told('recycled')).toMatchObject([{ slot: 1, reason: 'request_timeout' }]);
    const told = pool.events.filter(({ event }) => event === 'request_timeout');
    expect(told).toMatchObject([{ slot: 1, method: 'GET', target }]);
    expect(await statusOf(pool.url)).toBe(200);
  });

  test('whose worker dies in a GET: another one answers it', async () => {
    const pool = await serve([ECHO_APP, '--workers', '2', ...gateway]);
    await pool.waitForTold('all_ready', 2);
    const asked = statusOf(`${pool.url}/slow?ms=3000`);
    let pid: number | null = null;
    await waitUntil('a worker has it', async () => {
      const { workers } = await statusOfPool(pool);
      pid = workers.find(({ inFlight }) => inFlight > 0)?.pid ?? null;
      return pid !== null;
    });
    killOne(pid ?? 0);
    expect(await asked).toBe(200);
    await pool.waitForTold('worker_crashed');
  });

  test.each(['priority', 'reserved'])('answers health with all stuck (%s)', async (mode) => {
    const limits = ['--concurrency', '2', '--ops', '127.0.0.1:0', '--health-path', '/env'];
    const args = [...gateway, ...limits, '--health-mode', mode, '--drain-timeout', '1s'];
    const pool = await serve([ECHO_APP, '--workers', '1', ...args]);
    await pool.waitForTold('all_ready', mode === 'reserved' ? 3 : 2);
    const ops = await opsUrl(pool);
    const abort = new AbortController();
    const paths = Array.from({ length: 8 }, () => `${pool.url}/slow?ms=60000`);
    const stuck = paths.map((url) => fetch(url, { signal: abort.signal }).catch(() => null));
    await waitUntil('they wait', async () => {
      const { pools } = await statusOfPool(pool);
      return (pools[0]?.waiting ?? 0) >= 6;
    });
    const { status, tookMs } = await askOps(`${ops}/env`);
    // Who jumps the queue still needs a worker with room for one more.
    expect(status).toBe(mode === 'reserved' ? 200 : 503);
    expect(tookMs).toBeLessThan(4000);
    expect((await askOps(`${ops}/livez`)).status).toBe(200);
    abort.abort();
    await Promise.all(stuck);
  });
});

test(
  'TLS in front: HTTP/1.1 and HTTP/2, and a certificate that changes',
  { timeout: 60_000 },
  async () => {
    const folder = scratchFolder();
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
    const use = (cert: string, key: string): void => {
      copyFileSync(join(APPS_FOLDER, key), files.key);
      copyFileSync(join(APPS_FOLDER, cert), files.cert);
    };
    use('tls/cert.pem', 'tls/key.pem');
    const args = [ECHO_APP, '--workers', '2', '--tls-cert', files.cert, '--tls-key', files.key];
    const pool = await serve(args);
    await pool.waitForTold('all_ready', 2);
    const url = pool.url.replace('http:', 'https:');
    const clients = (['https', 'http2'] as const).map((kind) =>
      startClients(kind, { url }, { clients: 4, paths: PATHS }),
    );
    await recycleTimes(pool, 4);
    for (const each of clients) await stopLoad(each);
    const subject = async (): Promise<string> => {
      const socket = connect({ port: pool.port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const first = await subject();
    use('test-only.crt', 'test-only.key');
    await waitUntil('the new certificate', async () => (await subject()) !== first, 20_000);
  },
);

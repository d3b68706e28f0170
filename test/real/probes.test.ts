/** Probes of a real instance: with every worker stuck, on the way down, and the app's own check. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Status } from '../../src/control/status.ts';
import { spawnCofferdam, type RunningCofferdam } from '../support/cofferdam.ts';
import { askOps, opsUrl, type OpsAnswer } from '../support/ops.ts';
import { ECHO_APP, waitUntil } from '../support/processes.ts';
import { CLEAN_ENV, runCli } from './cli-process.ts';

const WORKERS = 2;

/** Blocked workers are killed at the end of a test, not waited for. */
const HURRY = ['--drain-timeout', '1s', '--kill-timeout', '200ms'];

let running: RunningCofferdam[] = [];
let aborts: AbortController[] = [];

afterEach(async () => {
  for (const abort of aborts) abort.abort();
  aborts = [];
  const all = running;
  running = [];
  for (const each of all) await each.stop();
});

interface Instance {
  readonly cofferdam: RunningCofferdam;
  readonly ask: (path: string) => Promise<OpsAnswer>;
}

async function serve(flags: readonly string[] = [], env = {}): Promise<Instance> {
  const ops = flags.includes('--ops') ? [] : ['--ops', '127.0.0.1:0'];
  const args = [ECHO_APP, '--workers', String(WORKERS), ...ops, ...HURRY, ...flags];
  const cofferdam = await spawnCofferdam(args, { env });
  running.push(cofferdam);
  const url = await opsUrl(cofferdam);
  return { cofferdam, ask: (path) => askOps(url + path) };
}

async function serveReady(flags: readonly string[] = [], env = {}): Promise<Instance> {
  const instance = await serve(flags, env);
  await instance.cofferdam.waitForTold('all_ready');
  await waitForStatus(instance, '/readyz', 200);
  return instance;
}

async function waitForStatus({ ask }: Instance, path: string, status: number): Promise<void> {
  await waitUntil(
    `${path} says ${status}`,
    async () => (await ask(path)).status === status,
    30_000,
  );
}

/** Sends requests until every worker has one that it does not answer; nobody waits for them. */
async function occupy({ cofferdam }: Instance, path: string, count: number): Promise<void> {
  const abort = new AbortController();
  aborts.push(abort);
  for (let n = 0; n < count; n += 1) {
    fetch(cofferdam.url + path, { signal: abort.signal, headers: { connection: 'close' } }).then(
      (response) => response.text().catch(() => ''),
      () => '',
    );
    // A worker that just took one leaves the next to its sibling.
    await sleep(50);
  }
}

test('before, during and after the start', async () => {
  const instance = await serve([], { BOOT_MS: '700' });
  expect((await instance.ask('/livez')).status).toBe(200);
  expect((await instance.ask('/startupz')).status).toBe(503);
  const early = await instance.ask('/readyz?verbose');
  expect(JSON.parse(early.body)).toMatchObject({ ok: false, reasons: [{ code: 'starting' }] });
  await waitForStatus(instance, '/startupz', 200);
  expect(await instance.ask('/readyz')).toMatchObject({ status: 200, body: 'ok\n' });
});

test('with every event loop blocked: probes answer, and only /readyz turns red', async () => {
  const instance = await serveReady(['--unresponsive-timeout', 'off']);
  await occupy(instance, '/block?ms=20000', 3 * WORKERS);
  const alive = await instance.ask('/livez');
  expect(alive).toMatchObject({ status: 200, body: 'ok\n' });
  await waitForStatus(instance, '/readyz', 503);
  const { body } = await instance.ask('/readyz?verbose');
  expect(JSON.parse(body)).toMatchObject({ reasons: [{ code: 'too_few_workers' }] });
  expect((await instance.ask('/livez')).status).toBe(200);
});

test('a data plane that is dead for long turns /livez red', async () => {
  const instance = await serveReady(['--unresponsive-timeout', 'off', '--live-stall', '6s']);
  await occupy(instance, '/block?ms=25000', 3 * WORKERS);
  await waitForStatus(instance, '/livez', 503);
  const { body } = await instance.ask('/livez?verbose');
  expect(JSON.parse(body)).toMatchObject({ reasons: [{ code: 'workers_stuck' }] });
});

test('saturation turns /readyz red with hysteresis, never /livez', async () => {
  const flags = ['--saturation-high', '60%', '--saturation-low', '20%'];
  const instance = await serveReady([...flags, '--unresponsive-timeout', 'off']);
  await occupy(instance, '/block?ms=12000', 3 * WORKERS);
  await waitUntil('saturation is a reason', async () => {
    return (await instance.ask('/readyz?verbose')).body.includes('"saturated"');
  });
  expect((await instance.ask('/livez')).status).toBe(200);
  await waitForStatus(instance, '/readyz', 200);
});

test('on TERM: red at once, serving on for --shutdown-delay, then the drain', async () => {
  const instance = await serveReady(['--shutdown-delay', '2s']);
  const { cofferdam, ask } = instance;
  cofferdam.signal('SIGTERM');
  await cofferdam.waitForTold('leaving');
  expect((await ask('/readyz')).status).toBe(503);
  expect((await ask('/livez')).status).toBe(200);
  const { reasons } = JSON.parse((await ask('/readyz?verbose')).body) as { reasons: unknown[] };
  expect(reasons).toMatchObject([{ code: 'stopping' }]);
  // New connections are still welcome: load balancers have not noticed yet.
  const response = await fetch(cofferdam.url, { headers: { connection: 'close' } });
  expect(await response.text()).toContain('worker=');
  expect(cofferdam.told('stopping')).toEqual([]);
  expect(await cofferdam.exited).toEqual({ code: 0, signal: null });
  expect(cofferdam.told('stopping')).toHaveLength(1);
});

test('a crash loop of one slot opens its circuit and turns /readyz red', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-probes-'));
  const faults = join(folder, 'faults');
  writeFileSync(faults, '');
  try {
    const instance = await serveReady([], { FAULT_FILE: faults });
    writeFileSync(faults, 'FAIL_BOOT=1\n');
    const [victim] = instance.cofferdam.told('worker_ready');
    process.kill(victim?.pid ?? 0, 'SIGKILL');
    await waitUntil('the circuit is open', async () => {
      return (await instance.ask('/readyz?verbose')).body.includes('"boot_failing"');
    });
    expect((await instance.ask('/livez')).status).toBe(200);
    writeFileSync(faults, '');
    await waitForStatus(instance, '/readyz', 200);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe("the app's own health check", () => {
  const check = ['--health-path', '/health', '--health-timeout', '5s'];

  test.each(['priority', 'reserved'])(
    'passes every normal worker that is stuck in a 30 s request (%s)',
    async (mode) => {
      const instance = await serveReady([...check, '--health-mode', mode]);
      await waitForStatus(instance, '/health', 200);
      await occupy(instance, '/slow?ms=30000', 4 * WORKERS);
      await waitUntil('every worker has some', async () => {
        await occupy(instance, '/slow?ms=30000', 1);
        const { workers } = JSON.parse((await instance.ask('/status')).body) as Status;
        return workers.every(({ inFlight }) => inFlight > 0);
      });
      const answer = await instance.ask('/health');
      expect(answer).toMatchObject({ status: 200 });
      const [, pid] = /worker=(\d+)/.exec(answer.body) ?? [];
      const normal = instance.cofferdam
        .told('worker_ready')
        .filter((event) => !('pool' in event))
        .map(({ pid }) => String(pid));
      expect(normal.includes(pid ?? '')).toBe(mode === 'priority');
    },
  );

  test('is answered by a worker that is left when another one is blocked', async () => {
    const instance = await serveReady(check);
    await occupy(instance, '/block?ms=20000', 1);
    for (let n = 0; n < 3; n += 1) {
      expect(await instance.ask('/health')).toMatchObject({ status: 200 });
    }
  });

  test('has a bound: with every event loop blocked, priority says so in time', async () => {
    const flags = ['--health-path', '/health', '--health-timeout', '500ms'];
    const instance = await serveReady([...flags, '--unresponsive-timeout', 'off']);
    await occupy(instance, '/block?ms=15000', 3 * WORKERS);
    const answer = await instance.ask('/health');
    expect(answer).toMatchObject({ status: 503, body: expect.stringContaining('no worker') });
  });

  test('reserved: workers of its own answer with every normal event loop blocked', async () => {
    const reserved = [...check, '--health-mode', 'reserved', '--unresponsive-timeout', 'off'];
    const instance = await serveReady([...reserved, '--health-max-requests', '3']);
    await instance.cofferdam.waitFor(/"event":"worker_ready","pool":"health"/);
    await waitForStatus(instance, '/health', 200);
    await occupy(instance, '/block?ms=15000', 3 * WORKERS);
    const seen = new Set<string>();
    const publicPids = instance.cofferdam.told('worker_ready').map(({ pid }) => pid);
    await waitUntil('a health worker was replaced by its own limit', async () => {
      const { status, body } = await instance.ask('/health');
      if (status === 200) seen.add(/worker=(\d+)/.exec(body)?.[1] ?? '');
      return seen.size > 1;
    });
    // Blocked, the public ones cannot have answered; told in the log with their pool, neither.
    const healthPids = [...seen].map(Number);
    const told = instance.cofferdam.events.filter(({ event, pool }) => {
      return event === 'worker_ready' && pool === 'health';
    });
    expect(told.map(({ pid }) => pid)).toEqual(expect.arrayContaining(healthPids));
    expect(publicPids.length).toBeGreaterThanOrEqual(WORKERS);
  });

  test('reserved workers take no public connection, and stop with the rest', async () => {
    const instance = await serveReady([...check, '--health-mode', 'reserved']);
    const [, pid] = await instance.cofferdam.waitFor(
      /"event":"worker_ready","pool":"health".*?"pid":(\d+)/,
    );
    for (let n = 0; n < 50; n += 1) {
      const response = await fetch(instance.cofferdam.url, { headers: { connection: 'close' } });
      expect(await response.text()).not.toContain(`worker=${pid}\n`);
    }
    expect(await instance.cofferdam.stop()).toEqual({ code: 0, signal: null });
  });
});

describe('the listener', () => {
  test('is read-only, and knows whose name it is called by', async () => {
    const { cofferdam } = await serveReady();
    const url = await opsUrl(cofferdam);
    const ask = (path: string, options = {}) => askOps(url + path, options);
    expect((await ask('/livez', { method: 'HEAD' })).body).toBe('');
    expect((await ask('/livez', { method: 'POST' })).status).toBe(405);
    expect((await ask('/nothing')).status).toBe(404);
    const stranger = { headers: { host: 'evil.example' } };
    for (const path of ['/', '/page/app.js', '/metrics', '/status']) {
      expect([path, (await ask(path)).status]).toEqual([path, 200]);
      expect([path, (await ask(path, stranger)).status]).toEqual([path, 403]);
    }
    // A kubelet may call it whatever it likes: these tell nothing.
    expect((await ask('/livez', stranger)).status).toBe(200);
    const status = JSON.parse((await ask('/status')).body) as Record<string, unknown>;
    expect(status).toMatchObject({ pid: cofferdam.pid, state: 'running', ops: url });
  });

  test('on an outer address any name is right, for the page as for the rest', async (context) => {
    const outer = Object.values(networkInterfaces())
      .flat()
      .find((address) => address?.internal === false && address.family === 'IPv4')?.address;
    context.skip(outer === undefined, 'this machine has no outer address');
    const { cofferdam } = await serveReady(['--ops', `${outer}:0`]);
    const url = await opsUrl(cofferdam);
    for (const path of ['/', '/page/app.js', '/metrics', '/status']) {
      const { status } = await askOps(url + path, { headers: { host: 'ops.example.com' } });
      expect([path, status]).toEqual([path, 200]);
    }
  });

  test('taken: an error if it was asked for, a warning if not', async () => {
    const first = await serveReady();
    const taken = new URL(await opsUrl(first.cofferdam)).host;
    const asked = await runCli(['serve', ECHO_APP, '--port', '0', '--ops', taken, '--name', 'b'], {
      cwd: '/',
      env: CLEAN_ENV,
    });
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain('COF_OPS_ADDRESS');
    // The default address: ours now, or somebody's already.
    const squatter = createServer().listen(9477, '127.0.0.1');
    await Promise.race([once(squatter, 'listening'), once(squatter, 'error')]).catch(() => {});
    try {
      const second = await spawnCofferdam([ECHO_APP, '--workers', '1']);
      running.push(second);
      await second.waitForTold('all_ready');
      expect(second.events.map(({ event }) => event)).toContain('no_ops');
    } finally {
      squatter.close();
    }
  });
});

test('probe: exit codes and words for a script', async () => {
  const { cofferdam } = await serveReady(['--shutdown-delay', '4s']);
  const run = (...args: string[]) =>
    runCli(['probe', ...args, '--name', cofferdam.name], { cwd: '/', env: { ...process.env } });
  expect(await run('ready')).toMatchObject({ code: 0, stdout: 'ok\n' });
  expect(await run('nonsense')).toMatchObject({ code: 2 });
  cofferdam.signal('SIGTERM');
  await cofferdam.waitForTold('leaving');
  expect(await run('ready')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('stopping'),
  });
  await cofferdam.exited;
  expect((await run('live')).code).toBe(1);
});

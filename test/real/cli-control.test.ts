/** The commands that talk to a running instance: what they send, print and exit with. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { controlSocketPath } from '../../src/config/paths.ts';
import type { Status } from '../../src/control/status.ts';
import { RECYCLE_REASONS, type RecycleReason } from '../../src/control/types.ts';
import { folderWith } from '../unit/config-helpers.ts';
import { CLEAN_ENV, CLI, runCli, type CliResult } from './cli-process.ts';

interface Instance {
  /** Every line that came in. */
  readonly requests: unknown[];
  readonly env: NodeJS.ProcessEnv;
  run(...args: string[]): Promise<CliResult>;
}

/** The other end of the control socket, answering as this test wants it. */
async function listenAs(name: string, answer: (socket: Socket) => void): Promise<Instance> {
  const cwd = folderWith({ 'cofferdam.toml': 'name = "shop"\nbogus = true\n' });
  const env = { XDG_RUNTIME_DIR: folderWith() };
  const path = controlSocketPath(name, env);
  mkdirSync(dirname(path));
  const requests: unknown[] = [];
  const server = createServer((socket) => {
    const reader = createInterface({ input: socket });
    // A reader that goes away may reset the connection, and both of them would throw it.
    for (const each of [socket, reader]) each.on('error', () => {});
    reader.on('line', (line) => {
      requests.push(JSON.parse(line));
      answer(socket);
    });
  });
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { requests, env, run: (...args) => runCli(args, { cwd, env }) };
}

function say(...lines: readonly unknown[]): (socket: Socket) => void {
  return (socket) => {
    for (const line of lines) socket.write(`${JSON.stringify(line)}\n`);
  };
}

const RECYCLES = Object.fromEntries(RECYCLE_REASONS.map((reason) => [reason, 0]));

const STATUS: Status = {
  name: 'shop',
  pid: 4242,
  uptimeMs: 7_384_000,
  state: 'running',
  listen: ['http://0.0.0.0:3000'],
  ops: null,
  budget: { bytes: 512 * 2 ** 20, origin: 'flag' },
  treeBytes: 256 * 2 ** 20,
  supervisorBytes: 22 * 2 ** 20,
  workers: [1, 999].map((slot) => ({
    pool: 'app',
    slot,
    generation: 4,
    pid: 4_194_303,
    state: 'lingering',
    ageMs: 86_399_000,
    requests: 12_345_678,
    inFlight: 25,
    longLived: 100,
    connections: 1000,
    memoryBytes: 212 * 2 ** 20,
    limitBytes: slot === 1 ? 0 : 220 * 2 ** 20,
    floorBytes: 20 * 2 ** 20,
    slopeBytesPerRequest: null,
    timeToLimitMs: null,
    heapUsedBytes: 50 * 2 ** 20,
    eventLoopUtilization: 0,
    slopeBytesPerSecond: slot === 1 ? 0 : 1023 * 1024,
    responsive: true,
    next: slot === 1 ? null : { reason: 'max_requests' as const, inMs: 86_399_000 },
  })),
  recycles: { ...RECYCLES, max_memory: 3, manual: 1 } as Record<RecycleReason, number>,
  crashes: 2,
  bootFailures: 0,
  pools: [
    {
      name: 'app',
      app: 'app.js',
      state: 'running',
      listen: ['http://0.0.0.0:3000'],
      size: 2,
      waiting: null,
      recyclerLoad: 0.1,
      arithmetic: 'floor 20MiB x (2 + 1 surge) + 60MiB = 120MiB of 512MiB; recycler load 10%',
      notes: [],
      healthWorkers: [],
    },
  ],
};

describe('status', () => {
  it('is a table that fits a terminal', async () => {
    const instance = await listenAs('shop', say({ ok: true, status: STATUS }));
    const { code, stdout, stderr } = await instance.run('status');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(instance.requests).toEqual([{ command: 'status' }]);
    expect(stdout).toMatchInlineSnapshot(`
      "shop  running  pid 4242  up 2h3m
      listening  http://0.0.0.0:3000
      memory     256MiB of 512MiB (50%, flag), supervisor 22MiB
      recycles   max_memory 3, manual 1
      failures   2 crashes, 0 boot failures

      SLOT  STATE          PID  GEN  AGE   REQS  BUSY  MEMORY       GROWTH  NEXT
         1  lingering  4194303    4  23h  12.3M    25  212MiB            -  -
       999  lingering  4194303    4  23h  12.3M    25  ▰▰▰▰ 212MiB  1MiB/s  reqs 23h
      "
    `);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('tells of several pools apart, in 80 columns', async () => {
    const [app] = STATUS.pools;
    const pools = [
      { ...app!, name: 'web', app: '/srv/shop/releases/2026-11-20/packages/web/dist/server.js' },
      { ...app!, name: 'api', app: './api', waiting: 3, state: 'starting', notes: ['a note'] },
    ];
    const workers = STATUS.workers.map((worker, index) => ({
      ...worker,
      pool: pools[index]!.name,
    }));
    const status = { ...STATUS, workers, pools };
    const instance = await listenAs('shop', say({ ok: true, status }));
    const { stdout } = await instance.run('status');
    expect(stdout).toMatchInlineSnapshot(`
      "shop  running  pid 4242  up 2h3m
      memory     256MiB of 512MiB (50%, flag), supervisor 22MiB
      recycles   max_memory 3, manual 1
      failures   2 crashes, 0 boot failures

      web  http://0.0.0.0:3000  …/shop/releases/2026-11-20/packages/web/dist/server.js
      SLOT  STATE          PID  GEN  AGE   REQS  BUSY  MEMORY  GROWTH  NEXT
         1  lingering  4194303    4  23h  12.3M    25  212MiB       -  -

      api  starting  http://0.0.0.0:3000  3 waiting  ./api
      note       a note
      SLOT  STATE          PID  GEN  AGE   REQS  BUSY  MEMORY       GROWTH  NEXT
       999  lingering  4194303    4  23h  12.3M    25  ▰▰▰▰ 212MiB  1MiB/s  reqs 23h
      "
    `);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('is the whole truth with --json', async () => {
    const instance = await listenAs('shop', say({ ok: true, status: STATUS }));
    expect(JSON.parse((await instance.run('status', '--json')).stdout)).toEqual(STATUS);
  });
});

describe('recycle', () => {
  const reply = { ok: true, recycled: [{ pool: 'app', slot: 2, replacedInMs: 480 }] };

  it('waits until it is done, and says how long it took', async () => {
    const instance = await listenAs('shop', say(reply));
    expect((await instance.run('recycle', '2')).stdout).toBe('slot 2 replaced in 480ms\n');
    expect(JSON.parse((await instance.run('recycle', '--json')).stdout)).toEqual(reply);
    expect(instance.requests).toEqual([
      { command: 'recycle', slot: 2, wait: true },
      { command: 'recycle', slot: null, wait: true },
    ]);
  });

  it('names the pool where there are several', async () => {
    const recycled = ['web', 'api'].map((pool) => ({ pool, slot: 2, replacedInMs: 480 }));
    const both = await listenAs('shop', say({ ok: true, recycled }));
    expect((await both.run('recycle')).stdout).toBe(
      'web/2 replaced in 480ms\napi/2 replaced in 480ms\n',
    );
    const one = await listenAs('other', say({ ok: true, recycled: recycled.slice(1) }));
    const run = (word: string): Promise<CliResult> => one.run('recycle', word, '--name', 'other');
    expect((await run('api/2')).stdout).toBe('api/2 replaced in 480ms\n');
    expect((await run('api')).stdout).toBe('api/2 replaced in 480ms\n');
    expect(one.requests).toEqual([
      { command: 'recycle', slot: 2, pool: 'api', wait: true },
      { command: 'recycle', slot: null, pool: 'api', wait: true },
    ]);
  });

  it('only asks with --no-wait', async () => {
    const instance = await listenAs('shop', say({ ok: true, recycled: [] }));
    expect((await instance.run('recycle', '--no-wait')).stdout).toContain('Asked for');
    expect(instance.requests).toEqual([{ command: 'recycle', slot: null, wait: false }]);
  });

  it('passes a refusal on, with its code', async () => {
    const refusal = { ok: false, code: 'COF_USAGE', message: 'there is no slot 9' };
    const instance = await listenAs('shop', say(refusal));
    const { code, stdout, stderr } = await instance.run('recycle', '9');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('cofferdam: there is no slot 9\n');
    expect(stderr).toContain('[COF_USAGE]');
  });
});

describe('scale', () => {
  it('asks for one pool, or for the only one', async () => {
    const instance = await listenAs('shop', say({ ok: true, from: 2, to: 3 }));
    expect((await instance.run('scale', '3')).stdout).toContain('From 2 to 3 workers');
    await instance.run('scale', 'api', '3');
    expect(instance.requests).toEqual([
      { command: 'scale', slots: 3 },
      { command: 'scale', slots: 3, pool: 'api' },
    ]);
  });
});

describe('reload', () => {
  it('tells what only a restart applies', async () => {
    const instance = await listenAs('shop', say({ ok: true, restart: ['port'] }));
    const { code, stdout, stderr } = await instance.run('reload');
    expect(code).toBe(0);
    expect(stdout).toContain('The new configuration is read');
    expect(stderr).toBe('Only a restart applies: port.\n');
  });

  it('fails with the mistake of the new file', async () => {
    const message = 'gate must be at least 1, not 0 (cofferdam.toml:3)';
    const hint = 'With 0 nothing would ever be replaced.';
    const refusal = { ok: false, code: 'COF_BAD_VALUE', message, hint };
    const instance = await listenAs('shop', say(refusal));
    const { code, stderr } = await instance.run('reload');
    expect(code).toBe(2);
    expect(stderr).toBe(`cofferdam: ${message}\n  ${hint}  [COF_BAD_VALUE]\n`);
  });
});

describe('events', () => {
  const events = [
    { time: '2026-01-02T03:04:05.678Z', event: 'recycled', slot: 3, drainMs: 480 },
    { time: '2026-01-02T03:04:06.678Z', event: 'stopping', mode: 'graceful', workers: 2 },
  ];

  it('prints JSON lines into a pipe, until the instance ends', async () => {
    const instance = await listenAs('shop', (socket) => {
      say({ ok: true, follow: true }, ...events)(socket);
      socket.end();
    });
    const { code, stdout } = await instance.run('events');
    expect(code).toBe(0);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(events);
  });

  it('ends when its reader goes away', async () => {
    const instance = await listenAs('shop', (socket) => {
      say({ ok: true, follow: true })(socket);
      const timer = setInterval(() => say(events[0])(socket), 10);
      socket.on('close', () => clearInterval(timer));
    });
    const child = spawn(process.execPath, [CLI, 'events', '--name', 'shop'], {
      cwd: folderWith(),
      env: { ...CLEAN_ENV, ...instance.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdout.once('data', () => child.stdout.destroy());
    const [code] = (await once(child, 'exit')) as [number | null];
    expect(code).toBe(0);
  });
});

describe('an instance that does not answer', () => {
  it('is named when nobody listens', async () => {
    const cwd = folderWith();
    for (const command of ['status', 'recycle', 'reload', 'events']) {
      const result = await runCli([command, '--name', 'nobody-here'], { cwd });
      expect(result.stderr).toContain('no running Cofferdam has the name "nobody-here"');
      expect(result).toMatchObject({ code: 1, stdout: '' });
    }
  });

  it('is told apart from one that hangs up, or speaks otherwise', async () => {
    const silent = await listenAs('shop', (socket) => socket.end());
    expect((await silent.run('status')).stderr).toContain('the connection ended before the answer');
    const gone = await listenAs('shop', (socket) => socket.destroy());
    expect((await gone.run('status')).stderr).toContain('the connection ended before the answer');
    const strange = await listenAs('shop', (socket) => void socket.write('HTTP/1.1 400\n'));
    expect((await strange.run('status')).stderr).toContain('the answer is not JSON');
  });

  it('is given up after a few seconds', async () => {
    const instance = await listenAs('shop', () => {});
    const { code, stderr } = await instance.run('status');
    expect(code).toBe(1);
    expect(stderr).toContain('"shop" did not answer within 5s\n  Is it suspended?');
  });

  it('is found by flag, variable and file, in this order', async () => {
    const instance = await listenAs('other', say({ ok: true, status: STATUS }));
    expect((await instance.run('status')).stderr).toContain('has the name "shop"');
    expect((await instance.run('status', '--name', 'other')).code).toBe(0);
    const env = { ...instance.env, COFFERDAM_NAME: 'other' };
    expect((await runCli(['status'], { cwd: folderWith(), env })).code).toBe(0);
  });
});

it('the socket folder of another user is no reason to crash', async () => {
  const instance = await listenAs('shop', () => {});
  const runtime = String(instance.env['XDG_RUNTIME_DIR']);
  chmodSync(runtime, 0o500);
  const { code, stderr } = await instance.run('status', '--name', 'not-there');
  expect(code).toBe(1);
  expect(stderr).toContain('[COF_NOT_RUNNING]');
});

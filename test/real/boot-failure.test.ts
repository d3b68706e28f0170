/** Promise 4: a boot that fails says why, and never costs a worker that serves. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { answers, ECHO_APP, statusOf } from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { serve, stopLoad, workerEvents } from '../support/serve.ts';
import { faultSwitch, scratchFolder, writeApp } from '../support/scratch.ts';

/** The first boot failed: exit code 4, a reason, a way out, and nothing is left. */
async function expectNoBoot(cofferdam: RunningCofferdam, reason: RegExp, code: string) {
  expect(await cofferdam.exited).toEqual({ code: 4, signal: null });
  expect(cofferdam.stderr).toMatch(reason);
  expect(cofferdam.stderr).toContain(`[${code}]`);
  expect(cofferdam.workers()).toEqual([]);
  expect(workerEvents(cofferdam, 'worker_ready')).toEqual([]);
}

describe('the first worker', () => {
  test('throws: the stack is the app’s, the last line says it again', async () => {
    const cofferdam = await serve([ECHO_APP], { env: { FAIL_BOOT: '1' } });
    await expectNoBoot(
      cofferdam,
      /echo\.cjs does not boot: exited with code 1 before it listened.*: Error: FAIL_BOOT: this app/,
      'COF_APP_DOES_NOT_BOOT',
    );
    expect(cofferdam.stderr).toMatch(/at boot \(.*echo\.cjs:\d+/);
  });

  test.each(['1', 'block'])('hangs (%s): the boot timeout ends it', async (how) => {
    const args = [ECHO_APP, '--boot-timeout', '1s', '--kill-timeout', '1s'];
    const cofferdam = await serve(args, { env: { HANG_BOOT: how } });
    await expectNoBoot(cofferdam, /did not listen within 1s/, 'COF_APP_DOES_NOT_BOOT');
    expect(cofferdam.stderr).toMatch(/--boot-timeout/);
  });

  test('ends without listening', async () => {
    const cofferdam = await serve([ECHO_APP], { env: { LISTEN_NOTHING: '1' } });
    const reason = /exited with code 0 before it listened on any address/;
    await expectNoBoot(cofferdam, reason, 'COF_APP_DOES_NOT_BOOT');
    expect(cofferdam.stderr).toMatch(/an app has to listen on a port/);
  });

  test('closes the channel before it listens', async () => {
    const app = writeApp('process.disconnect(); setInterval(() => {}, 1e6);');
    const cofferdam = await serve([app]);
    const reason = /exited with code 0 before it listened/;
    await expectNoBoot(cofferdam, reason, 'COF_APP_DOES_NOT_BOOT');
  });

  test('gets an option that this Node does not know', async () => {
    const cofferdam = await serve([ECHO_APP, '--node-args=--no-such-option']);
    await expectNoBoot(cofferdam, /bad option: --no-such-option/, 'COF_APP_DOES_NOT_BOOT');
  });

  test.each(['auto', 'gateway'])('answers its warm-up with 503 (dispatch %s)', async (dispatch) => {
    const app = writeApp(`
      require('node:http').createServer((_, response) => response.writeHead(503).end())
        .listen(process.env.PORT);
    `);
    const cofferdam = await serve([app, '--warmup-path', '/', '--dispatch', dispatch]);
    const reason = /does not boot: the warm-up request was answered 503/;
    await expectNoBoot(cofferdam, reason, 'COF_APP_DOES_NOT_BOOT');
  });

  test('wants a port that a stranger has', async () => {
    const stranger = createServer();
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    const { port } = stranger.address() as { port: number };
    try {
      const args = [ECHO_APP, '--port', String(port), '--host', '127.0.0.1'];
      const cofferdam = await serve(args, { bare: true });
      const reason = new RegExp(`EADDRINUSE.*127\\.0\\.0\\.1:${port}`);
      await expectNoBoot(cofferdam, reason, 'COF_PORT_IN_USE');
    } finally {
      stranger.close();
    }
  });

  test('catches that its port is taken and stays', async () => {
    const stranger = createServer();
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    const { port } = stranger.address() as { port: number };
    try {
      const app = writeApp(`
        process.on('uncaughtException', () => {});
        setInterval(() => {}, 1e6);
        require('node:http').createServer().listen(${port}, '127.0.0.1');
      `);
      const cofferdam = await serve([app, '--boot-timeout', '1s'], { bare: true });
      const reason = new RegExp(`EADDRINUSE.*127\\.0\\.0\\.1:${port}`);
      await expectNoBoot(cofferdam, reason, 'COF_PORT_IN_USE');
    } finally {
      stranger.close();
    }
  });
});

describe('a second Cofferdam', () => {
  test('on the same port goes, names the port, and leaves the first alone', async () => {
    const first = await serve([ECHO_APP, '--workers', '1']);
    await first.waitForTold('all_ready');
    const args = [ECHO_APP, '--port', String(first.port), '--host', '127.0.0.1'];
    const second = await serve(args, { bare: true });
    const reason = new RegExp(`EADDRINUSE.*127\\.0\\.0\\.1:${first.port}`);
    await expectNoBoot(second, reason, 'COF_PORT_IN_USE');
    expect(second.stderr).toMatch(/choose another port with --port/);
    expect(await answers(first.port)).toBe(true);
    expect(await statusOf(first.url)).toBe(200);
  });

  test('of the same name starts nothing', async () => {
    const first = await serve([ECHO_APP, '--workers', '1']);
    await first.waitForTold('all_ready');
    const second = await runCli(['serve', ECHO_APP, '--name', first.name, '--port', '0']);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/another Cofferdam answers on .*\.sock/);
    expect(second.stderr).toMatch(/--name.*\[COF_ALREADY_RUNNING\]/);
    expect((await runCli(['status', '--name', first.name])).code).toBe(0);
    expect(await statusOf(first.url)).toBe(200);
  });
});

describe('a later worker', () => {
  test('that does not boot never stops the old one, and the app heals by being mended', async () => {
    const faults = faultSwitch();
    const pool = await serve([ECHO_APP, '--workers', '2'], { env: faults.env });
    await pool.waitForTold('all_ready');
    const pids = pool.told('worker_ready').map(({ pid }) => pid);
    const clients = startClients('agent', { url: pool.url });
    faults.set({ FAIL_BOOT: 1 });
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycle_postponed', 4);
    const postponed = pool.told('recycle_postponed');
    expect(postponed[0]?.detail).toMatch(/FAIL_BOOT: this app does not boot/);
    expect(postponed[0]?.reason).toBe('manual');
    const failed = pool.told('boot_failed');
    for (const slot of new Set(failed.map((each) => each.slot))) {
      const waits = failed.filter((each) => each.slot === slot).map(({ retryInMs }) => retryInMs);
      expect(waits).toEqual(waits.toSorted((a, b) => a - b));
      expect(waits[0]).toBeGreaterThan(200);
    }
    const waits = failed.map(({ retryInMs }) => retryInMs);
    expect(Math.max(...waits)).toBeGreaterThan(2 * Math.min(...waits) * 0.8);
    expect(pool.workers()).toEqual(expect.arrayContaining(pids));
    expect(pool.told('recycled')).toEqual([]);
    faults.set();
    await pool.waitForTold('recycled', 2);
    await stopLoad(clients);
  });

  test('that does not boot is the answer to `cofferdam recycle`', async () => {
    const faults = faultSwitch();
    const pool = await serve([ECHO_APP, '--workers', '1'], { env: faults.env });
    await pool.waitForTold('all_ready');
    faults.set({ FAIL_BOOT: 1 });
    const { code, stderr } = await runCli(['recycle', '1', '--name', pool.name]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/slot 1 keeps its worker, the replacement does not boot: .*FAIL_BOOT/);
    expect(await statusOf(pool.url)).toBe(200);
  });

  test('of another slot that does not boot is retried while the first one serves', async () => {
    const flag = join(scratchFolder(), 'flag');
    const app = writeApp(`
      const { existsSync, writeFileSync } = require('node:fs');
      const count = ${JSON.stringify(flag)};
      if (existsSync(count) && !existsSync(count + '.mended')) throw new Error('only one of us');
      writeFileSync(count, '');
      require('node:http').createServer((_, response) => {
        if (_.url === '/mend') writeFileSync(count + '.mended', '');
        response.end('served');
      }).listen(process.env.PORT, process.env.HOST);
    `);
    const pool = await serve([app, '--workers', '2']);
    await pool.waitForTold('boot_failed', 2);
    expect(pool.told('boot_failed')[0]).toMatchObject({ slot: 2, failures: 1 });
    expect(await statusOf(`${pool.url}/mend`)).toBe(200);
    await pool.waitForTold('all_ready');
  });
});

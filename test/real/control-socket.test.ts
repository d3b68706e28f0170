/** The control socket under clients of every kind: whatever comes in, nothing stops. */
import { statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';
import { controlSocketPath } from '../../src/config/paths.ts';
import { spawnCofferdam, type RunningCofferdam } from '../support/cofferdam.ts';
import { ECHO_APP, killOne, waitUntil } from '../support/processes.ts';
import { runCli } from './cli-process.ts';

let running: RunningCofferdam[] = [];
let sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  const all = running;
  running = [];
  for (const each of all) await each.stop();
});

async function serve(flags: readonly string[] = []): Promise<RunningCofferdam> {
  const args = [ECHO_APP, '--workers', '1..3', '--ops', 'off', ...flags];
  const cofferdam = await spawnCofferdam(args);
  running.push(cofferdam);
  await cofferdam.waitForTold('all_ready');
  return cofferdam;
}

function pathOf({ name }: RunningCofferdam): string {
  return controlSocketPath(name, process.env);
}

function open(cofferdam: RunningCofferdam): Socket {
  const socket = connect(pathOf(cofferdam));
  socket.on('error', () => {});
  sockets.push(socket);
  return socket;
}

/** Sends a line, resolves with the next line that comes, or null at the end. */
function say(socket: Socket, line: string): Promise<Record<string, unknown> | null> {
  return new Promise((resolve) => {
    const lines = createInterface({ input: socket });
    lines.once('line', (text) => {
      lines.close();
      resolve(JSON.parse(text) as Record<string, unknown>);
    });
    socket.once('close', () => resolve(null));
    socket.write(`${line}\n`);
  });
}

async function expectAnswer(cofferdam: RunningCofferdam): Promise<void> {
  const reply = await say(open(cofferdam), '{"command":"status"}');
  expect(reply).toMatchObject({ ok: true, status: { pid: cofferdam.pid } });
  const response = await fetch(cofferdam.url, { headers: { connection: 'close' } });
  expect(response.status).toBe(200);
}

test('belongs to its owner alone', async () => {
  const cofferdam = await serve();
  expect(statSync(pathOf(cofferdam)).mode & 0o777).toBe(0o600);
});

test('two clients at once each get their own answers', async () => {
  const cofferdam = await serve();
  const [a, b] = [open(cofferdam), open(cofferdam)];
  const answers = await Promise.all([
    say(a, '{"command":"probe","probe":"ready"}'),
    say(b, '{"command":"status"}'),
  ]);
  expect(answers[0]).toEqual({ ok: true, green: true, reasons: [] });
  expect(answers[1]).toMatchObject({ ok: true, status: { name: cofferdam.name } });
});

test('half a command, garbage, and 10 MB of it', async () => {
  const cofferdam = await serve();
  open(cofferdam).write('{"command":"sta');
  for (const line of ['not json', '[]', 'null', '{}', '{"command":7}', '{"command":"__proto__"}']) {
    expect(await say(open(cofferdam), line)).toMatchObject({ ok: false, code: 'COF_USAGE' });
  }
  for (const slots of [0, -1, 4, 1.5, '"2"', 'null', 1e99]) {
    const refused = await say(open(cofferdam), `{"command":"scale","slots":${slots}}`);
    expect(refused).toMatchObject({ ok: false, code: 'COF_CONTROL_REFUSED' });
  }
  const flood = open(cofferdam);
  const ended = new Promise<void>((resolve) => flood.once('close', () => resolve()));
  flood.write(Buffer.alloc(10 * 2 ** 20, 'x'));
  // It is cut off at the length of a line, long before it has said all.
  await ended;
  expect(flood.bytesWritten - flood.writableLength).toBeLessThanOrEqual(10 * 2 ** 20);
  await expectAnswer(cofferdam);
});

test('clients that never read cost a bounded amount, and nobody else waits for them', async () => {
  const cofferdam = await serve();
  for (let n = 0; n < 5; n += 1) {
    const socket = open(cofferdam);
    socket.pause();
    socket.write('{"command":"events"}\n');
    // Thousands of answers that it does not read either.
    for (let m = 0; m < 2000; m += 1) socket.write('{"command":"status"}\n');
  }
  await expectAnswer(cofferdam);
  expect((await say(open(cofferdam), '{"command":"recycle","slot":1,"wait":true}'))?.['ok']).toBe(
    true,
  );
  await expectAnswer(cofferdam);
  const status = await say(open(cofferdam), '{"command":"status"}');
  const { supervisorBytes } = (status?.['status'] ?? {}) as { supervisorBytes: number };
  expect(supervisorBytes).toBeLessThan(64 * 2 ** 20);
});

test('a crowd of idle clients does not keep the next one out for long', async () => {
  const cofferdam = await serve();
  for (let n = 0; n < 100; n += 1) open(cofferdam);
  await expectAnswer(cofferdam);
});

test('events: one JSON line for each decision', async () => {
  const cofferdam = await serve();
  const socket = open(cofferdam);
  expect(await say(socket, '{"command":"events"}')).toMatchObject({ ok: true });
  const seen: string[] = [];
  createInterface({ input: socket }).on('line', (line) => {
    seen.push((JSON.parse(line) as { event: string }).event);
  });
  expect(await say(open(cofferdam), '{"command":"scale","slots":2}')).toEqual({
    ok: true,
    from: 1,
    to: 2,
  });
  await waitUntil('the new worker is told', () => seen.includes('worker_ready'));
  expect(seen[0]).toBe('scaled');
});

test('a stale socket is replaced, a living one is not', async () => {
  const first = await serve();
  const again = await runCli(['serve', ECHO_APP, '--name', first.name, '--port', '0'], {
    cwd: '/',
    env: { ...process.env },
  });
  expect(again.code).toBe(1);
  expect(again.stderr).toContain('COF_ALREADY_RUNNING');
  killOne(first.pid, 'SIGKILL');
  await first.exited;
  // The file is still there; nobody answers on it.
  expect(statSync(pathOf(first)).isSocket()).toBe(true);
  const second = await serve(['--name', first.name]);
  await expectAnswer({ ...second, name: first.name });
});

test('instances are told apart by name', async () => {
  const [a, b] = [await serve(), await serve()];
  const statusOf = (name: string) =>
    runCli(['status', '--json', '--name', name], { cwd: '/', env: { ...process.env } });
  for (const { name, pid } of [a, b]) {
    expect(JSON.parse((await statusOf(name)).stdout)).toMatchObject({ name, pid });
  }
  expect((await statusOf('nobody')).stderr).toContain('COF_NOT_RUNNING');
});

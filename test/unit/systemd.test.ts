import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type ListenOptions } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createNotifier, readActivatedSockets } from '../../src/supervisor/systemd.ts';

const PATIENCE_MS = 10_000;
const hasTools =
  spawnSync('systemd-notify', ['--version']).status === 0 &&
  spawnSync('python3', ['--version']).status === 0;

/** A service manager's end of the notify socket; prints each datagram as one JSON line. */
const FAKE_SYSTEMD = `
import array, json, os, socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
manager.bind(sys.argv[1])
print('"bound"', flush=True)
while True:
    data, ancillary, _, _ = manager.recvmsg(4096, 1024)
    for _, kind, value in ancillary:
        if kind == socket.SCM_RIGHTS:
            for fd in array.array('i', value[: len(value) // 4 * 4]):
                os.close(fd)
    print(json.dumps(data.decode()), flush=True)
`;

let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cofferdam-systemd-'));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await sleep(10);
  }
}

/** A stand-in for systemd-notify that logs its arguments, then does as told. */
function fakeCommand(then: string): { command: string; calls: () => string[] } {
  const command = join(folder, 'notify');
  const log = join(folder, 'calls');
  writeFileSync(log, '');
  writeFileSync(command, `#!/bin/sh\nprintf '%s\\n' "$2" >>${log}\n${then}\n`);
  chmodSync(command, 0o755);
  return { command, calls: () => readFileSync(log, 'utf8').split('\n').filter(Boolean) };
}

describe('notify', () => {
  test.runIf(hasTools)('systemd hears who we are and how we are', async () => {
    const socket = join(folder, 'notify.sock');
    const manager = spawn('python3', ['-c', FAKE_SYSTEMD, socket], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(manager);
    const heard: string[] = [];
    const lines = createInterface(manager.stdout);
    lines.on('line', (line) => heard.push(JSON.parse(line) as string));
    await once(lines, 'line');

    const notifier = createNotifier({ env: { ...process.env, NOTIFY_SOCKET: socket } });
    notifier.ready();
    notifier.status('2 workers\nserve');
    notifier.stopping();
    await until('STOPPING', () => heard.join('\n').includes('STOPPING=1'));
    const all = heard.join('\n');
    expect(all).toMatch(/READY=1[^]*STATUS=2 workers serve[^]*STOPPING=1/);
    expect(all).toContain(`MAINPID=${process.pid}`);
  });

  test('one process at a time, in order, and only the newest status', async () => {
    const { command, calls } = fakeCommand('sleep 0.2');
    const notifier = createNotifier({ env: { ...process.env, NOTIFY_SOCKET: 'x' }, command });
    notifier.ready();
    for (let index = 0; index < 50; index += 1) notifier.status(`turn ${index}`);
    notifier.reloading(Promise.resolve());
    await until('four calls', () => calls().length === 4);
    expect(calls()).toEqual(['READY=1', 'STATUS=turn 49', 'RELOADING=1', 'READY=1']);
  });

  test('a reload ends when it is through, the last of several, and not after a stop', async () => {
    const { command, calls } = fakeCommand('');
    const notifier = createNotifier({ env: { ...process.env, NOTIFY_SOCKET: 'x' }, command });
    const reloads = new EventEmitter();
    for (const each of ['first', 'second']) notifier.reloading(once(reloads, each));
    reloads.emit('second');
    await until('two calls', () => calls().length === 2);
    notifier.status('one of two is through');
    await until('three calls', () => calls().length === 3);
    reloads.emit('error', new Error('it does not boot'));
    await until('four calls', () => calls().length === 4);
    notifier.reloading(once(reloads, 'third'));
    notifier.stopping();
    reloads.emit('third');
    await until('six calls', () => calls().length === 6);
    notifier.status('stopping');
    await until('seven calls', () => calls().length === 7);
    expect(calls()).toEqual([
      'RELOADING=1',
      'RELOADING=1',
      'STATUS=one of two is through',
      'READY=1',
      'RELOADING=1',
      'STOPPING=1',
      'STATUS=stopping',
    ]);
  });

  test('a command that fails is told once and not tried again', async () => {
    const { command, calls } = fakeCommand('echo "no such socket" >&2; exit 1');
    const said: string[] = [];
    const notifier = createNotifier({
      env: { ...process.env, NOTIFY_SOCKET: 'x' },
      command,
      onFailure: (detail) => said.push(detail),
    });
    notifier.ready();
    notifier.status('a');
    notifier.stopping();
    await until('failure', () => said.length > 0);
    notifier.ready();
    await sleep(50);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('no such socket');
    expect(calls()).toEqual(['READY=1']);
  });

  test('without systemd nothing is started', async () => {
    const { command, calls } = fakeCommand('');
    const notifier = createNotifier({ env: {}, command });
    notifier.ready();
    await sleep(50);
    expect(calls()).toEqual([]);
  });
});

/** What a child that inherited these listening sockets at fd 3… makes of them. */
async function activate(
  listens: ListenOptions[],
  env: NodeJS.ProcessEnv,
): Promise<{ found: unknown; ports: number[] }> {
  const servers = listens.map(() => createServer());
  for (const [index, server] of servers.entries()) {
    server.listen(listens[index]);
    await once(server, 'listening');
  }
  const module = new URL('../../dist/supervisor/systemd.js', import.meta.url).href;
  const script = `
    import { readActivatedSockets } from '${module}';
    const env = { ...process.env, LISTEN_PID: process.env.LISTEN_PID ?? String(process.pid) };
    console.log(JSON.stringify(readActivatedSockets({ env })));
  `;
  const handles = servers.map(
    (server) => (server as unknown as { _handle: { fd: number } })._handle,
  );
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit', ...handles.map((handle) => handle.fd)],
    env: { ...process.env, ...env },
  });
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) server.close();
  return { found: JSON.parse(line), ports };
}

describe.runIf(process.platform === 'linux')('socket activation', () => {
  test('each descriptor is found with its name and address', async () => {
    const path = join(folder, 'app with blank.sock');
    const { found, ports } = await activate(
      [{ port: 0, host: '127.0.0.1' }, { port: 0, host: '::1' }, { path }, { port: 0, host: '::' }],
      { LISTEN_FDS: '4', LISTEN_FDNAMES: 'web:six::' },
    );
    expect(found).toEqual([
      { fd: 3, name: 'web', address: { kind: 'tcp', host: '127.0.0.1', port: ports[0] } },
      { fd: 4, name: 'six', address: { kind: 'tcp', host: '::1', port: ports[1] } },
      { fd: 5, name: 'unknown', address: { kind: 'unix', path } },
      { fd: 6, name: 'unknown', address: { kind: 'tcp', host: '::', port: ports[3] } },
    ]);
  });

  test.each([
    ['they are for another process', { LISTEN_FDS: '1', LISTEN_PID: '1' }],
    ['there are none', { LISTEN_FDS: '0' }],
    ['the number is nonsense', { LISTEN_FDS: 'many' }],
  ])('nothing is taken when %s', async (_, env) => {
    const { found } = await activate([{ port: 0, host: '127.0.0.1' }], env);
    expect(found).toEqual([]);
  });

  test('a descriptor that is no socket has no address', () => {
    const env = { LISTEN_FDS: '1', LISTEN_PID: '42' };
    expect(readActivatedSockets({ env, pid: 42, root: folder })).toEqual([
      { fd: 3, name: 'unknown', address: null },
    ]);
  });
});

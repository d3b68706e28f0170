/** Under systemd: what it is told, and a socket that it holds and that outlives the supervisor. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import { CLI } from '../support/cofferdam.ts';
import type { Target } from '../support/http1-connection.ts';
import { ECHO_APP, freePort, killTree, statusOf, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { serve, stopLoad } from '../support/serve.ts';
import { lacks } from '../support/tools.ts';

/** As systemd does it: binds, and gives the socket at descriptor 3 to whom it starts, twice. */
const LAUNCHER = `
import os, socket, sys
where = sys.argv[1]
held = socket.socket(socket.AF_UNIX if where.startswith("/") else socket.AF_INET)
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(where if where.startswith("/") else ("127.0.0.1", int(where)))
held.listen(128)
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        os.dup2(held.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
        os.execvp(sys.argv[2], sys.argv[2:])
    print(pid, flush=True)
    os.waitpid(pid, 0)
`;

interface Launched {
  /** As it is logged. */
  readonly url: string;
  readonly target: Target;
  readonly pids: number[];
  readonly output: () => string;
}

let launches = 0;

/** With a socket on a port, or at a path. */
async function launch(
  kind: 'tcp' | 'unix',
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Launched> {
  const path = env['UNIX_SOCKET'] ?? join(scratchFolder(), 'web.sock');
  const where = kind === 'unix' ? path : String(await freePort());
  launches += 1;
  const name = `activated-${process.pid}-${launches}`;
  const flags = ['--name', name, '--ops', 'off', '--log', 'json'];
  const command = [process.execPath, CLI, 'serve', ECHO_APP, ...flags, ...args];
  const child: ChildProcess = spawn('python3', ['-c', LAUNCHER, where, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, KEEP_ALIVE_MS: '1000', ...env },
  });
  onTestFinished(() => killTree(child.pid ?? 0));
  const pids: number[] = [];
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => (output += String(chunk)));
  child.stdout?.on('data', (chunk: Buffer) => {
    for (const line of String(chunk).split('\n')) {
      if (/^\d+$/.test(line)) pids.push(Number(line));
    }
  });
  const url = kind === 'unix' ? `unix:${path}` : `http://127.0.0.1:${where}`;
  const target = kind === 'unix' ? { url: 'http://app', socketPath: path } : { url };
  return { url, target, pids, output: () => output };
}

/** GET on a connection of its own. */
async function ask({ target: { url, socketPath } }: Launched): Promise<number> {
  if (socketPath === undefined) return statusOf(url);
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, agent: false }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
    request.once('error', reject);
  });
}

const eventsIn = (output: string, event: string): number =>
  output.split(`"event":"${event}"`).length - 1;

const readyIn = (output: string): number => eventsIn(output, 'all_ready');

describe.skipIf(lacks('python3'))('an activated socket', { timeout: 60_000 }, () => {
  test.each<[string, 'tcp' | 'unix', readonly string[], number]>([
    ['of the app', 'tcp', [], 1],
    ['of the gateway', 'tcp', ['--dispatch', 'gateway'], 2],
    ['at a path, of an app that asks for a port', 'unix', [], 1],
    ['at a path, of the gateway', 'unix', ['--dispatch', 'gateway'], 2],
  ])('%s is listened on, and outlives a restart', async (_, kind, args, pools) => {
    const launched = await launch(kind, ['--workers', '2', ...args]);
    const { url, target, pids, output } = launched;
    await waitUntil('ready', () => readyIn(output()) === pools, 20_000);
    expect(output()).toContain(`"event":"listening","url":"${url}"`);
    for (let n = 0; n < 8; n += 1) expect(await ask(launched)).toBe(200);
    // Later workers get it as well, and nothing is lost meanwhile.
    const clients = startClients('agent', target);
    process.kill(pids[0]!, 'SIGUSR2');
    await waitUntil('recycles', () => eventsIn(output(), 'recycled') >= 2, 20_000);
    await stopLoad(clients);
    process.kill(pids[0]!, 'SIGTERM');
    await waitUntil('the next one', () => pids.length === 2, 20_000);
    // It has not booted yet: the request waits in the queue of the socket instead of being refused.
    expect(readyIn(output())).toBe(pools);
    expect(await ask(launched)).toBe(200);
    await waitUntil('ready', () => readyIn(output()) === 2 * pools, 20_000);
    process.kill(pids[1]!, 'SIGTERM');
    await waitUntil('its end', () => output().split('"mode":"graceful"').length - 1 >= 2);
    // What systemd made is systemd's to remove.
    if (target.socketPath !== undefined) expect(existsSync(target.socketPath)).toBe(true);
  });

  test('at the very path that the app asks for is that one', async () => {
    const path = join(scratchFolder(), 'app.sock');
    const launched = await launch('unix', ['--workers', '2'], { UNIX_SOCKET: path });
    const { url, pids, output } = launched;
    await waitUntil('ready', () => readyIn(output()) === 1, 20_000);
    expect(output()).toContain(`"event":"listening","url":"${url}"`);
    expect(await ask(launched)).toBe(200);
    process.kill(pids[0]!, 'SIGTERM');
    await waitUntil('the next one', () => readyIn(output()) === 2, 20_000);
    expect(await ask(launched)).toBe(200);
    process.kill(pids[1]!, 'SIGTERM');
    await waitUntil('its end', () => output().split('"mode":"graceful"').length - 1 >= 2);
    expect(existsSync(path)).toBe(true);
  });
});

/** Its end of the notify socket: prints each message; `systemd-notify` waits until it was read. */
const LISTENER = `
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
manager.bind(sys.argv[1])
print("bound", flush=True)
while True:
    data, handles, _, _ = socket.recv_fds(manager, 4096, 32)
    for handle in handles:
        socket.close(handle)
    print(data.decode().replace("\\n", " "), flush=True)
`;

const lacksNotify = spawnSync('systemd-notify', ['--version']).status !== 0;

test.skipIf(lacksNotify)('systemd is told of start, reload and end', async () => {
  const path = join(scratchFolder(), 'notify');
  const manager = spawn('python3', ['-c', LISTENER, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void manager.kill('SIGKILL'));
  const heard: string[] = [];
  createInterface(manager.stdout).on('line', (line) => heard.push(line));
  await waitUntil('bound', () => heard.includes('bound'));
  const env = { NOTIFY_SOCKET: path, BOOT_MS: '1000' };
  const pool = await serve([ECHO_APP, '--workers', '1'], { env });
  const words = (): string =>
    heard
      .flatMap((line) => /READY=1|RELOADING=1|STOPPING=1|STATUS=\S+/.exec(line)?.[0] ?? [])
      .join(' ');
  await waitUntil('the start', () => words().endsWith('READY=1 STATUS=serving'));
  expect(heard.join()).toContain(`STATUS=serving http://`);
  pool.signal('SIGHUP');
  await waitUntil('the reload', () => words().endsWith('RELOADING=1 READY=1'));
  // It boots for a second: who had told systemd at once would be a second too early.
  expect(pool.told('reloaded')).toHaveLength(1);
  await pool.stop();
  await waitUntil('the end', () => words().endsWith('STOPPING=1'));
});

/** Under systemd: what it is told, and a socket that it holds and that outlives the supervisor. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { CLI } from '../support/cofferdam.ts';
import { ECHO_APP, freePort, killTree, statusOf, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/serve.ts';
import { lacks } from '../support/tools.ts';

/** As systemd does it: binds, and gives the socket at descriptor 3 to whom it starts, twice. */
const LAUNCHER = `
import os, socket, sys
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(("127.0.0.1", int(sys.argv[1])))
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
  readonly url: string;
  readonly pids: number[];
  output(): string;
}

async function launch(args: readonly string[]): Promise<Launched> {
  const port = await freePort();
  const name = ['--name', `activated-${process.pid}-${port}`, '--ops', 'off', '--log', 'json'];
  const command = [process.execPath, CLI, 'serve', ECHO_APP, ...name, ...args];
  const child: ChildProcess = spawn('python3', ['-c', LAUNCHER, String(port), ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
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
  return { url: `http://127.0.0.1:${port}`, pids, output: () => output };
}

const readyIn = (output: string): number => output.split('"event":"all_ready"').length - 1;

describe.skipIf(lacks('python3'))('an activated socket', { timeout: 60_000 }, () => {
  test.each([
    ['of the app', [], 1],
    ['of the gateway', ['--dispatch', 'gateway'], 2],
  ])('%s is listened on, and outlives a restart', async (_, args, pools) => {
    const { url, pids, output } = await launch(['--workers', '2', ...args]);
    await waitUntil('ready', () => readyIn(output()) === pools, 20_000);
    expect(output()).toContain(`"event":"listening","url":"${url}"`);
    for (let n = 0; n < 8; n += 1) expect(await statusOf(url)).toBe(200);
    process.kill(pids[0]!, 'SIGTERM');
    await waitUntil('the next one', () => pids.length === 2, 20_000);
    // It has not booted yet: the request waits in the queue of the socket instead of being refused.
    expect(readyIn(output())).toBe(pools);
    expect(await statusOf(url)).toBe(200);
    await waitUntil('ready', () => readyIn(output()) === 2 * pools, 20_000);
    process.kill(pids[1]!, 'SIGTERM');
    await waitUntil('its end', () => output().split('"mode":"graceful"').length - 1 >= 2);
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
  const pool = await serve([ECHO_APP, '--workers', '1'], { env: { NOTIFY_SOCKET: path } });
  const words = (): string =>
    heard
      .flatMap((line) => /READY=1|RELOADING=1|STOPPING=1|STATUS=\S+/.exec(line)?.[0] ?? [])
      .join(' ');
  await waitUntil('the start', () => /READY=1 STATUS=serving$/.test(words()));
  expect(heard.join()).toContain(`STATUS=serving http://`);
  pool.signal('SIGHUP');
  await waitUntil('the reload', () => /RELOADING=1 READY=1$/.test(words()));
  await pool.stop();
  await waitUntil('the end', () => /STOPPING=1$/.test(words()));
});

/** The client commands against a real running instance: status, recycle, reload, events. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Status } from '../../src/control/status.ts';
import { spawnCofferdam, type LogEvent, type RunningCofferdam } from '../support/cofferdam.ts';
import { waitUntil } from '../support/processes.ts';
import { lacks } from '../support/tools.ts';
import { folderWith } from '../unit/config-helpers.ts';
import { CLI, runCli, type CliResult } from './cli-process.ts';

const APP = `
require('node:http')
  .createServer((_, answer) => answer.end(process.env.GREETING))
  .listen(process.env.PORT, process.env.HOST);
`;

const LIVE_TEST_MS = 60_000;

/** Its child sees a terminal, which copies everything to and from us. */
const ON_A_TERMINAL = 'import pty, sys; pty.spawn(sys.argv[1:])';

/** Far more than a follower needs to connect. */
const RECYCLES_MAX = 20;

function configWith(greeting: string, extra = ''): string {
  return `app = "server.js"\nworkers = 2\n${extra}\n[env]\nGREETING = "${greeting}"\n`;
}

describe('a running instance', { timeout: LIVE_TEST_MS }, () => {
  let folder: string;
  let running: RunningCofferdam;

  beforeEach(async () => {
    folder = folderWith({ 'server.js': APP, 'cofferdam.toml': configWith('hello') });
    running = await spawnCofferdam([], { cwd: folder });
    await running.waitForTold('all_ready');
  }, LIVE_TEST_MS);

  afterEach(async () => {
    await running.stop();
  });

  function run(...args: readonly string[]): Promise<CliResult> {
    return runCli([...args, '--name', running.name], { cwd: folder, env: process.env });
  }

  async function status(): Promise<Status> {
    return JSON.parse((await run('status', '--json')).stdout) as Status;
  }

  async function pids(): Promise<ReadonlyMap<number, number | null>> {
    const { workers } = await status();
    return new Map(workers.map(({ slot, pid }) => [slot, pid]));
  }

  async function greeting(): Promise<string> {
    return (await fetch(running.url, { headers: { connection: 'close' } })).text();
  }

  it('shows its workers', async () => {
    const { name, state, listen, workers, treeBytes, budget } = await status();
    expect({ name, state, listen }).toEqual({
      name: running.name,
      state: 'running',
      listen: [running.url],
    });
    expect(workers.map((worker) => [worker.slot, worker.state])).toEqual([
      [1, 'ready'],
      [2, 'ready'],
    ]);
    expect(treeBytes).toBeGreaterThan(0);
    expect(treeBytes).toBeLessThan(budget.bytes);
    expect((await run('status')).stdout).toContain(`${running.name}  running  pid ${running.pid}`);
  });

  it('replaces one worker, or all, and answers when it is done', async () => {
    const before = await pids();
    const one = await run('recycle', '2');
    expect(one).toMatchObject({ code: 0, stderr: '' });
    expect(one.stdout).toMatch(/^slot 2 replaced in \S+\n$/);
    const after = await pids();
    expect(after.get(1)).toBe(before.get(1));
    expect(after.get(2)).not.toBe(before.get(2));
    const all = await run('recycle');
    expect(all.stdout.match(/^slot \d replaced in/gm)).toHaveLength(2);
    expect((await status()).recycles.manual).toBe(3);
    const none = await run('recycle', '9');
    expect(none).toMatchObject({ code: 2, stdout: '' });
    expect(none.stderr).toContain('there is no slot 9; the slots are 1, 2');
  });

  it('applies a new configuration, and keeps the old one when the new one is invalid', async () => {
    expect(await greeting()).toBe('hello');
    const file = join(folder, 'cofferdam.toml');
    writeFileSync(file, configWith('good day'));
    expect((await run('reload')).code).toBe(0);
    await running.waitForTold('recycled', 2);
    expect(await greeting()).toBe('good day');

    const before = await pids();
    writeFileSync(file, configWith('never', 'gate = 0'));
    const refused = await run('reload');
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('gate must be at least 1, not 0 (cofferdam.toml:3)');
    writeFileSync(file, 'port = = 1');
    running.signal('SIGHUP');
    await running.waitFor(/cofferdam\.toml:1:8: invalid value/);
    expect(await pids()).toEqual(before);
    expect(await greeting()).toBe('good day');
  });

  it('shows them anew each second with --watch, in a pipe one table after the other', async () => {
    const watcher = spawn(process.execPath, [CLI, 'status', '--watch', '--name', running.name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let shown = '';
    watcher.stdout.on('data', (chunk: Buffer) => (shown += String(chunk)));
    try {
      await waitUntil('two tables', () => shown.split('SLOT').length > 2);
      await run('recycle', '1');
      await waitUntil('the recycle', () => shown.includes('manual 1'));
      expect(shown).not.toContain('\u001B');
      watcher.stdout.destroy();
      const [code] = (await once(watcher, 'exit')) as [number];
      expect(code).toBe(0);
    } finally {
      watcher.kill('SIGKILL');
    }
  });

  it.skipIf(lacks('python3'))('draws over itself with --watch on a terminal', async () => {
    const command = [process.execPath, CLI, 'status', '--watch', '--name', running.name];
    const watcher = spawn('python3', ['-c', ON_A_TERMINAL, ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let shown = '';
    watcher.stdout.on('data', (chunk: Buffer) => (shown += String(chunk)));
    const ended = once(watcher, 'exit');
    try {
      await waitUntil('two tables', () => shown.split('SLOT').length > 2);
      expect(shown.startsWith('\u001B[2J\u001B[H')).toBe(true);
      expect(shown.split('\u001B[2J')).toHaveLength(2);
      // Ctrl-C, as the terminal takes it.
      watcher.stdin.write('\u0003');
      await ended;
    } finally {
      watcher.kill('SIGKILL');
    }
  });

  it('tells its decisions as they come', async () => {
    const follower = spawn(process.execPath, [CLI, 'events', '--name', running.name], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const seen: LogEvent[] = [];
      const isRecycled = ({ event }: LogEvent): boolean => event === 'recycled';
      createInterface({ input: follower.stdout }).on('line', (line) => {
        seen.push(JSON.parse(line) as LogEvent);
      });
      // Nothing tells when the follower is connected; what it misses is told again by the next one.
      for (let tries = 0; !seen.some(isRecycled) && tries < RECYCLES_MAX; tries += 1) {
        await run('recycle', '1');
      }
      expect(seen.find(isRecycled)).toMatchObject({ slot: 1, reason: 'manual' });
      await running.stop();
      if (follower.exitCode === null) await once(follower, 'exit');
      expect(follower.exitCode).toBe(0);
    } finally {
      follower.kill('SIGKILL');
    }
  });

  it('is alone with its name', async () => {
    const twin = await runCli(['serve', 'server.js', '--name', running.name, '--port', '0'], {
      cwd: folder,
      env: process.env,
    });
    expect(twin.code).toBe(1);
    expect(twin.stderr).toContain('[COF_ALREADY_RUNNING]');
    expect(await greeting()).toBe('hello');
  });
});

it('scales between its bounds, and says what they are', { timeout: LIVE_TEST_MS }, async () => {
  const cwd = folderWith({ 'server.js': APP });
  const running = await spawnCofferdam(['server.js', '--workers', '1..3'], { cwd });
  const scale = (count: string): Promise<CliResult> =>
    runCli(['scale', count, '--name', running.name], { cwd, env: process.env });
  try {
    await running.waitForTold('all_ready');
    expect(await scale('3')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('From 1 to 3 workers') as string,
    });
    await running.waitForTold('worker_ready', 3);
    expect((await scale('1')).stdout).toContain('From 3 to 1 workers');
    await waitUntil('one is left', () => running.goneWorkers().length >= 2);
    const refused = await scale('4');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('this pool has 1 to 3 workers, not 4');
  } finally {
    await running.stop();
  }
});

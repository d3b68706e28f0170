/** Promise 6, the hard half: who cannot leave by itself is taken along when the supervisor is killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { startGuard } from '../../src/supervisor/guard.ts';

const GUARD_MODULE = new URL('../../dist/supervisor/guard.js', import.meta.url).href;
const GRACE_MS = 400;

/** Long enough for a shell on a busy machine; reached only when the test fails. */
const PATIENCE_MS = 15_000;

/**
 * A supervisor in miniature: two workers, each the leader of its group and with a child of its own.
 * The first blocks its event loop for good, the second could leave but does not.
 */
const PARENT = `
  import { spawn } from 'node:child_process';
  import { startGuard } from '${GUARD_MODULE}';
  import { mkdirSync, writeFileSync } from 'node:fs';
  const [second, root = '/'] = process.argv.slice(1);
  const guard = startGuard({ graceMs: ${GRACE_MS}, root });
  const blocked = "require('child_process').spawn('sleep', ['600']).once('spawn', () => {" +
    "process.stdout.write('up'); for (;;); })";
  const idle = "process.stdout.write('up'); setInterval(() => {}, 1000)";
  const workers = [blocked, idle].map((code) => {
    const worker = spawn(process.execPath, ['-e', code], {
      detached: true, stdio: ['ignore', 'pipe', 'inherit'],
    });
    return worker;
  });
  if (second === 'reused') {
    mkdirSync(root + '/proc/' + workers[1].pid, { recursive: true });
    writeFileSync(root + '/proc/' + workers[1].pid + '/stat', '1 (node) S' + ' 1'.repeat(40));
  }
  for (const worker of workers) guard.watch(worker.pid);
  if (second === 'unwatched') guard.unwatch(workers[1].pid);
  for (const worker of workers) await new Promise((done) => worker.stdout.once('data', done));
  console.log(JSON.stringify(workers.map((worker) => worker.pid)));
  process.stdin.once('data', () => {
    for (const worker of workers) process.kill(-worker.pid, 'SIGKILL');
    guard.dismiss();
    process.stdin.destroy();
    for (const worker of workers) worker.unref();
  });
`;

const strays: number[] = [];
const parents: ChildProcess[] = [];

afterEach(() => {
  for (const parent of parents.splice(0)) parent.kill('SIGKILL');
  for (const pid of strays.splice(0)) kill(-pid);
});

async function startParent(...args: string[]): Promise<{ parent: ChildProcess; pids: number[] }> {
  const parent = spawn(process.execPath, ['--input-type=module', '-e', PARENT, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  parents.push(parent);
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
  const pids = JSON.parse(line) as number[];
  strays.push(...pids);
  return { parent, pids };
}

/** Live processes (zombies do not count) of one process group. */
function membersOf(group: number): number[] {
  return processes()
    .filter((process) => process.group === group)
    .map((process) => process.pid);
}

function guardsOf(parent: number): number[] {
  return processes()
    .filter((process) => process.parent === parent && process.command.includes('cofferdam-guard'))
    .map((process) => process.pid);
}

function processes() {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (Number.isNaN(pid)) return [];
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, parent, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (state === 'Z') return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return [{ pid, parent: Number(parent), group: Number(group), command }];
    } catch {
      return []; // It ended while we looked.
    }
  });
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await sleep(20);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already: as it should be.
  }
}

describe.runIf(existsSync('/proc/self/stat'))('guard', () => {
  test('a supervisor killed with -9 takes blocked workers and their children along', async () => {
    const { parent, pids } = await startParent();
    const [guard] = guardsOf(parent.pid!);
    expect(guard).toBeDefined();
    expect(membersOf(pids[0]!)).toHaveLength(2);
    parent.kill('SIGKILL');
    await until('workers gone', () => pids.every((pid) => membersOf(pid).length === 0));
    await until('guard gone', () => !existsSync(`/proc/${guard}`));
  });

  test('whoever is no longer watched is left alone', async () => {
    const { parent, pids } = await startParent('unwatched');
    const [guard] = guardsOf(parent.pid!);
    parent.kill('SIGKILL');
    await until('guard gone', () => !existsSync(`/proc/${guard}`));
    expect(membersOf(pids[0]!)).toEqual([]);
    expect(membersOf(pids[1]!)).toEqual([pids[1]]);
  });

  test('the guard leaves early when the workers leave by themselves', async () => {
    const { parent, pids } = await startParent();
    const [guard] = guardsOf(parent.pid!);
    for (const pid of pids) kill(-pid);
    parent.kill('SIGKILL');
    await until('guard gone', () => !existsSync(`/proc/${guard}`));
  });

  test('a normal end leaves no guard, and the guard does not keep the supervisor alive', async () => {
    const { parent } = await startParent();
    const [guard] = guardsOf(parent.pid!);
    parent.stdin!.write('stop\n');
    await once(parent, 'exit');
    await until('guard gone', () => !existsSync(`/proc/${guard}`));
  });

  test('signals that stop a whole session do not stop the guard', async () => {
    const { parent, pids } = await startParent();
    const [guard] = guardsOf(parent.pid!);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(guard!, signal);
    parent.kill('SIGKILL');
    await until('workers gone', () => pids.every((pid) => membersOf(pid).length === 0));
  });

  test('a guard that is killed is replaced, and the new one knows the workers', async () => {
    const { parent, pids } = await startParent();
    const [first] = guardsOf(parent.pid!);
    kill(first!);
    await until('new guard', () => guardsOf(parent.pid!).some((pid) => pid !== first));
    parent.kill('SIGKILL');
    await until('workers gone', () => pids.every((pid) => membersOf(pid).length === 0));
  });

  test('a pid that was reused is not killed', async () => {
    // The guard is told a start time that is not the second worker's: its pid looks reused.
    const root = mkdtempSync(join(tmpdir(), 'cofferdam-guard-'));
    const { parent, pids } = await startParent('reused', root);
    parent.kill('SIGKILL');
    await until('first worker gone', () => membersOf(pids[0]!).length === 0);
    expect(membersOf(pids[1]!)).toEqual([pids[1]]);
    rmSync(root, { recursive: true });
  });
});

test('without a shell there is no guard, and that is said once', async () => {
  const said: string[] = [];
  const guard = startGuard({
    graceMs: GRACE_MS,
    shell: '/nowhere/sh',
    onExit: (detail) => said.push(detail),
  });
  guard.watch(process.pid);
  await until('it is said', () => said.length > 0);
  guard.unwatch(process.pid);
  guard.dismiss();
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(/No guard process \(\/nowhere\/sh: .*ENOENT/);
});

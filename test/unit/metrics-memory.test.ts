import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  readSmapsRollup,
  readStatm,
  readChildMemory,
  readFamilyMemory,
  readParentMemory,
  readWorkerMemory,
  startTimeOf,
} from '../../src/metrics/process-memory.ts';
import { createTreeMeter } from '../../src/metrics/tree.ts';

const MIB = 1024 * 1024;
const children: ChildProcess[] = [];
const roots: string[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

/** A bare Node process that holds so many bytes of touched memory and says when it does. */
async function startHolder(bytes: number): Promise<number> {
  const code = `globalThis.held = Buffer.alloc(${bytes}, 1); process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child.pid!;
}

function fakeProcess(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'cofferdam-proc-'));
  roots.push(root);
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, 'proc/7', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return root;
}

describe('fixtures', () => {
  test('anonymous memory is heap, shared memory and swap', () => {
    const root = fakeProcess({
      status:
        'Name:\tnode\nVmPeak:\t  900 kB\nVmRSS:\t  100 kB\nRssAnon:\t  40 kB\n' +
        'RssFile:\t  50 kB\nRssShmem:\t  10 kB\nVmSwap:\t  7 kB\n',
    });
    expect(readWorkerMemory(7, { root })).toEqual({ anonBytes: 57 * 1024, rssBytes: 100 * 1024 });
  });

  test('of a child is without what it shares, which its parent has once', () => {
    const status = (anon: number, shmem: number): string =>
      `Name:\tphp-cgi\nVmRSS:\t ${anon + shmem + 30} kB\nRssAnon:\t ${anon} kB\n` +
      `RssFile:\t 30 kB\nRssShmem:\t ${shmem} kB\nVmSwap:\t 2 kB\n`;
    const files = { status: status(10, 4), '../8/status': status(20, 50) };
    const root = fakeProcess(files);
    const kib = 1024;
    expect(readChildMemory(8, { root })).toEqual({ anonBytes: 22 * kib, rssBytes: 50 * kib });
    expect(readParentMemory(7, [8, 9], { root })).toEqual({
      anonBytes: (10 + 2 + 50) * kib,
      rssBytes: (10 + 30 + 50) * kib,
    });
    expect(readParentMemory(9, [8], { root })).toBeNull();
  });

  test('of a family is that of all that it started, by whichever thread', () => {
    const status = (kib: number): string =>
      `Name:\tx\nVmRSS:\t${2 * kib} kB\nRssAnon:\t${kib} kB\n`;
    const root = fakeProcess({
      status: status(10),
      'task/7/children': '8 9 ',
      'task/70/children': '10 ',
      '../8/status': status(100),
      // Back to where it began: pids that are used again must not make a circle.
      '../8/task/8/children': '11 7 ',
      '../10/status': status(1000),
      '../11/status': status(10_000),
    });
    // Process 9 has gone meanwhile.
    expect(readFamilyMemory(7, { root })).toEqual({
      anonBytes: 11_110 * 1024,
      rssBytes: 22_220 * 1024,
    });
    expect(readFamilyMemory(9, { root })).toBeNull();
  });

  test('a zombie has none, a missing process neither', () => {
    const root = fakeProcess({ status: 'Name:\tnode\nState:\tZ (zombie)\n' });
    expect(readWorkerMemory(7, { root })).toBeNull();
    expect(readWorkerMemory(8, { root })).toBeNull();
    expect(readStatm(8, { root })).toBeNull();
    expect(startTimeOf(8, { root })).toBeNull();
  });

  test('a process name that tries to confuse does not', () => {
    const fields = Array.from({ length: 50 }, (_, index) => String(index + 3)).join(' ');
    const root = fakeProcess({ stat: `7 (no) de (1 2) ${fields}\n` });
    expect(startTimeOf(7, { root })).toBe(22);
  });

  test('smaps_rollup of a kernel that does not split PSS', async () => {
    const root = fakeProcess({
      smaps_rollup:
        '5 - 7 ---p 0 00:00 0 [rollup]\nRss:  90 kB\nPss:  60 kB\nAnonymous:  45 kB\n' +
        'Private_Clean:  1 kB\nPrivate_Dirty:  2 kB\nSwap:  3 kB\n',
    });
    expect(await readSmapsRollup(7, { root })).toEqual({
      pssBytes: 60 * 1024,
      pssAnonBytes: 45 * 1024,
      pssFileBytes: 15 * 1024,
      privateBytes: 3 * 1024,
      swapBytes: 3 * 1024,
    });
    expect(await readSmapsRollup(8, { root })).toBeNull();
  });
});

describe.runIf(process.platform === 'linux')('real processes', () => {
  test('what a process allocates is seen, by every reader', async () => {
    const bare = await startHolder(1);
    const loaded = await startHolder(64 * MIB);
    const grown = (bareBytes: number, loadedBytes: number) => (loadedBytes - bareBytes) / MIB;

    const anon = grown(readWorkerMemory(bare)!.anonBytes, readWorkerMemory(loaded)!.anonBytes);
    expect(anon).toBeGreaterThan(60);
    expect(anon).toBeLessThan(72);
    const statm = grown(readStatm(bare)!.rssBytes, readStatm(loaded)!.rssBytes);
    expect(statm).toBeGreaterThan(60);
    expect(statm).toBeLessThan(76);
    const [bareRollup, loadedRollup] = [await readSmapsRollup(bare), await readSmapsRollup(loaded)];
    const pssAnon = grown(bareRollup!.pssAnonBytes, loadedRollup!.pssAnonBytes);
    expect(pssAnon).toBeGreaterThan(60);
    expect(pssAnon).toBeLessThan(72);
    expect(loadedRollup!.privateBytes).toBeGreaterThan(64 * MIB);
  });

  test('the tree is the sum of PSS, within a tenth, though it reads no PSS each time', async () => {
    const pids = await Promise.all([startHolder(16 * MIB), startHolder(32 * MIB), startHolder(1)]);
    const meter = createTreeMeter();
    const early = meter.read(pids)!;
    await meter.refresh(pids);
    const tree = meter.read(pids)!;
    let pssBytes = 0;
    for (const pid of pids) pssBytes += (await readSmapsRollup(pid))!.pssBytes;

    expect(Math.abs(tree.totalBytes - pssBytes)).toBeLessThan(pssBytes * 0.1);
    expect(tree.totalBytes).toBe(tree.anonBytes + tree.fileBytes);
    // Before the first refresh the file pages are an estimate, but never the sum of all RSS.
    expect(early.fileBytes).toBeLessThan(readWorkerMemory(pids[0])!.rssBytes);
    expect(early.fileBytes).toBeGreaterThan(0);
  });

  test('processes that are gone count nothing', async () => {
    const pid = await startHolder(1);
    const child = children.at(-1)!;
    expect(startTimeOf(pid)).toBeGreaterThan(0);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(readWorkerMemory(pid)).toBeNull();
    expect(await readSmapsRollup(pid)).toBeNull();
    expect(startTimeOf(pid)).toBeNull();
    expect(createTreeMeter().read([pid])).toBeNull();
  });

  test('a start time stays the same and tells two processes apart from their pids', async () => {
    const pid = await startHolder(1);
    expect(startTimeOf(pid)).toBe(startTimeOf(pid));
    expect(startTimeOf(pid)!).toBeGreaterThanOrEqual(startTimeOf(process.pid)!);
  });
});

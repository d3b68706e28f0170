import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { resolveBudget } from '../../src/metrics/budget.ts';
import {
  findMemoryCgroup,
  readCgroupEvents,
  readCgroupLimit,
  readCgroupUsage,
} from '../../src/metrics/cgroup.ts';

const MIB = 1024 * 1024;
const RAM = 16_384 * MIB;

const V1_MOUNT = '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory';
const V2_MOUNT = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate';
const HYBRID_V2_MOUNT = '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw';
const V1_UNLIMITED = '9223372036854771712\n';

const roots: string[] = [];

function tree(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'cofferdam-cgroup-'));
  roots.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

function limitOf(root: string): number | null {
  const cgroup = findMemoryCgroup({ root });
  return cgroup && (readCgroupLimit(cgroup, RAM)?.limitBytes ?? null);
}

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

describe('version 2', () => {
  test('in a container the namespace shows our group as the root', () => {
    const root = tree({
      'proc/self/cgroup': '0::/\n',
      'proc/self/mountinfo': `${V2_MOUNT}\n`,
      'sys/fs/cgroup/memory.max': `${512 * MIB}\n`,
      'sys/fs/cgroup/memory.current': `${300 * MIB}\n`,
      'sys/fs/cgroup/memory.stat': `anon ${200 * MIB}\nfile 0\ninactive_file ${40 * MIB}\n`,
      'sys/fs/cgroup/memory.events': 'low 0\nhigh 5\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n',
    });
    const cgroup = findMemoryCgroup({ root });
    expect(cgroup?.version).toBe(2);
    const limit = readCgroupLimit(cgroup!, RAM);
    expect(limit?.limitBytes).toBe(512 * MIB);
    expect(readCgroupUsage(cgroup!, limit!.directory)).toBe(260 * MIB);
    expect(readCgroupEvents(cgroup!)).toEqual({ limitHits: 7, highHits: 5, oomKills: 2 });
  });

  test('the lowest limit up the tree counts, and usage is read where it is set', () => {
    const root = tree({
      'proc/self/cgroup': '0::/kubepods.slice/pod 1/app.scope\n',
      'proc/self/mountinfo': `${V2_MOUNT}\n`,
      'sys/fs/cgroup/kubepods.slice/memory.max': `${4096 * MIB}\n`,
      'sys/fs/cgroup/kubepods.slice/pod 1/memory.max': `${256 * MIB}\n`,
      'sys/fs/cgroup/kubepods.slice/pod 1/memory.current': `${90 * MIB}\n`,
      'sys/fs/cgroup/kubepods.slice/pod 1/app.scope/memory.max': `${512 * MIB}\n`,
    });
    const cgroup = findMemoryCgroup({ root });
    const limit = readCgroupLimit(cgroup!, RAM);
    expect(limit?.limitBytes).toBe(256 * MIB);
    expect(limit?.directory).toBe(join(root, 'sys/fs/cgroup/kubepods.slice/pod 1'));
    expect(readCgroupUsage(cgroup!, limit!.directory)).toBe(90 * MIB);
  });

  test('"max" everywhere, the root group without files, and more than the machine has: no limit', () => {
    const base = { 'proc/self/cgroup': '0::/a\n', 'proc/self/mountinfo': `${V2_MOUNT}\n` };
    expect(limitOf(tree({ ...base, 'sys/fs/cgroup/a/memory.max': 'max\n' }))).toBeNull();
    expect(limitOf(tree(base))).toBeNull();
    expect(limitOf(tree({ ...base, 'sys/fs/cgroup/a/memory.max': `${RAM}\n` }))).toBeNull();
  });

  test('a group outside of our namespace is read at the mount', () => {
    const root = tree({
      'proc/self/cgroup': '0::/../../other\n',
      'proc/self/mountinfo': `${V2_MOUNT}\n`,
      'sys/fs/cgroup/memory.max': `${64 * MIB}\n`,
    });
    expect(limitOf(root)).toBe(64 * MIB);
  });

  test('a limit of 0 is a limit', () => {
    const root = tree({
      'proc/self/cgroup': '0::/\n',
      'proc/self/mountinfo': `${V2_MOUNT}\n`,
      'sys/fs/cgroup/memory.max': '0\n',
    });
    expect(limitOf(root)).toBe(0);
  });
});

describe('version 1', () => {
  test('docker without a namespace mounts our own group', () => {
    const root = tree({
      'proc/self/cgroup': '5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n',
      'proc/self/mountinfo':
        '40 31 0:32 /docker/abc /sys/fs/cgroup/memory\\040x rw master:9 - cgroup cgroup rw,memory\n',
      'sys/fs/cgroup/memory x/memory.limit_in_bytes': `${128 * MIB}\n`,
      'sys/fs/cgroup/memory x/memory.usage_in_bytes': `${100 * MIB}\n`,
      'sys/fs/cgroup/memory x/memory.stat': `inactive_file 1\ntotal_inactive_file ${30 * MIB}\n`,
      'sys/fs/cgroup/memory x/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 4\n',
      'sys/fs/cgroup/memory x/memory.failcnt': '11\n',
    });
    const cgroup = findMemoryCgroup({ root });
    expect(cgroup?.version).toBe(1);
    const limit = readCgroupLimit(cgroup!, RAM);
    expect(limit?.limitBytes).toBe(128 * MIB);
    expect(readCgroupUsage(cgroup!, limit!.directory)).toBe(70 * MIB);
    expect(readCgroupEvents(cgroup!)).toEqual({ limitHits: 11, highHits: 0, oomKills: 4 });
  });

  test('a parent above the mount is known by hierarchical_memory_limit', () => {
    const root = tree({
      'proc/self/cgroup': '4:cpu,memory:/a\n',
      'proc/self/mountinfo': `${V1_MOUNT}\n`,
      'sys/fs/cgroup/memory/memory.limit_in_bytes': V1_UNLIMITED,
      'sys/fs/cgroup/memory/a/memory.limit_in_bytes': V1_UNLIMITED,
      'sys/fs/cgroup/memory/a/memory.stat': `hierarchical_memory_limit ${96 * MIB}\n`,
    });
    expect(limitOf(root)).toBe(96 * MIB);
  });

  test('its largest number means no limit', () => {
    const root = tree({
      'proc/self/cgroup': '4:memory:/\n',
      'proc/self/mountinfo': `${V1_MOUNT}\n`,
      'sys/fs/cgroup/memory/memory.limit_in_bytes': V1_UNLIMITED,
      'sys/fs/cgroup/memory/memory.stat': `hierarchical_memory_limit ${V1_UNLIMITED}`,
    });
    expect(limitOf(root)).toBeNull();
  });

  test('a hybrid host: version 2 is mounted, but the controller is in version 1', () => {
    const root = tree({
      'proc/self/cgroup': '4:memory:/b\n0::/b\n',
      'proc/self/mountinfo': `${HYBRID_V2_MOUNT}\n${V1_MOUNT}\n`,
      'sys/fs/cgroup/memory/b/memory.limit_in_bytes': `${200 * MIB}\n`,
      'sys/fs/cgroup/unified/b/memory.max': `${1 * MIB}\n`,
    });
    expect(findMemoryCgroup({ root })?.version).toBe(1);
    expect(limitOf(root)).toBe(200 * MIB);
  });
});

describe('nothing to read', () => {
  test.each([
    ['no /proc', {}],
    ['no hierarchy mounted', { 'proc/self/cgroup': '0::/\n', 'proc/self/mountinfo': '\n' }],
    ['no group at all', { 'proc/self/cgroup': '\n', 'proc/self/mountinfo': `${V2_MOUNT}\n` }],
  ])('%s', (_, files) => {
    expect(findMemoryCgroup({ root: tree(files) })).toBeNull();
  });
});

describe('budget', () => {
  const limited = {
    'proc/self/cgroup': '0::/\n',
    'proc/self/mountinfo': `${V2_MOUNT}\n`,
    'sys/fs/cgroup/memory.max': `${500 * MIB}\n`,
  };

  test('the flag wins, and the real limit is told along', () => {
    const budget = resolveBudget({ flagBytes: 700, root: tree(limited), totalRamBytes: RAM });
    expect(budget).toEqual({ bytes: 700, origin: 'flag', limitBytes: 500 * MIB });
  });

  test('else nine tenths of the limit', () => {
    const budget = resolveBudget({ root: tree(limited), totalRamBytes: RAM });
    expect(budget).toEqual({ bytes: 450 * MIB, origin: 'cgroup v2', limitBytes: 500 * MIB });
  });

  test('else 80 % of the machine; 0 means that no flag was given', () => {
    const budget = resolveBudget({ flagBytes: 0, root: tree({}), totalRamBytes: 1000 });
    expect(budget).toEqual({ bytes: 800, origin: 'host', limitBytes: null });
  });

  test('this machine has one', () => {
    expect(resolveBudget().bytes).toBeGreaterThan(0);
  });
});

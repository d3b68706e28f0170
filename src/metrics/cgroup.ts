/**
 * The memory controller of our control group, version 1 or 2: the limit that the kernel will
 * enforce, and how much of it is used. Which version serves is decided by the controller and not
 * by the mounts: hybrid hosts mount version 2 without its memory controller.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Root } from './process-memory.ts';

export interface MemoryCgroup {
  readonly version: 1 | 2;
  /** Directories of the control files: our own group first, then its parents up to the mount. */
  readonly directories: readonly string[];
}

export interface CgroupLimit {
  readonly limitBytes: number;
  /** The group that sets it: usage and head-room are to be read there. */
  readonly directory: string;
}

export interface CgroupEvents {
  /** Times the limit was reached so that the kernel had to reclaim. */
  readonly limitHits: number;
  /** Times `memory.high` was exceeded, so that the group was slowed down; 0 in version 1. */
  readonly highHits: number;
  /** Processes of this group killed by the kernel for want of memory. */
  readonly oomKills: number;
}

/** Our memory control group; null when there is none (macOS, a host without control groups). */
export function findMemoryCgroup({ root = '/' }: Root = {}): MemoryCgroup | null {
  const membership = readOrNull(join(root, 'proc/self/cgroup'));
  const mounts = readOrNull(join(root, 'proc/self/mountinfo'));
  if (membership === null || mounts === null) return null;
  const groups = membership.split('\n').map((line) => line.split(':'));
  // A controller is in one hierarchy only: when version 1 lists it, version 2 does not have it.
  const v1 = groups.find(([, controllers]) => controllers?.split(',').includes('memory'));
  const v2 = groups.find(([id, controllers]) => id === '0' && controllers === '');
  const own = v1 ?? v2;
  if (own === undefined) return null;
  const path = own.slice(2).join(':');
  const mount = findMount(mounts, v1 === undefined ? 'cgroup2' : 'cgroup', v1 && 'memory');
  if (mount === null) return null;
  return { version: v1 ? 1 : 2, directories: directoriesOf(join(root, mount.point), mount, path) };
}

/**
 * The lowest limit of our group and its parents, or null when nothing limits us: "max", the largest
 * page-aligned number of version 1, and whatever lies above the machine's memory all mean "none".
 */
export function readCgroupLimit(cgroup: MemoryCgroup, totalRamBytes: number): CgroupLimit | null {
  let lowest: CgroupLimit | null = null;
  for (const directory of cgroup.directories) {
    const limitBytes = limitOf(cgroup.version, directory);
    if (limitBytes === null || limitBytes >= totalRamBytes) continue;
    if (lowest === null || limitBytes < lowest.limitBytes) lowest = { limitBytes, directory };
  }
  return lowest;
}

/**
 * Bytes in use in one group without the file pages that the kernel drops first: the same "working
 * set" that Kubernetes evicts by. Null when unreadable (the root group of version 2 has no count).
 */
export function readCgroupUsage(cgroup: MemoryCgroup, directory: string): number | null {
  const v2 = cgroup.version === 2;
  const used = readNumber(join(directory, v2 ? 'memory.current' : 'memory.usage_in_bytes'));
  if (used === null) return null;
  const stat = readOrNull(join(directory, 'memory.stat')) ?? '';
  const inactive = keyedNumber(stat, v2 ? 'inactive_file' : 'total_inactive_file') ?? 0;
  return Math.max(0, used - inactive);
}

/** Counters of our own group; the difference of two readings tells an OOM kill from any other. */
export function readCgroupEvents(cgroup: MemoryCgroup): CgroupEvents | null {
  const own = cgroup.directories[0];
  if (own === undefined) return null;
  if (cgroup.version === 2) {
    const events = readOrNull(join(own, 'memory.events'));
    if (events === null) return null;
    return {
      limitHits: keyedNumber(events, 'max') ?? 0,
      highHits: keyedNumber(events, 'high') ?? 0,
      oomKills: keyedNumber(events, 'oom_kill') ?? 0,
    };
  }
  const control = readOrNull(join(own, 'memory.oom_control'));
  if (control === null) return null;
  return {
    limitHits: readNumber(join(own, 'memory.failcnt')) ?? 0,
    highHits: 0,
    oomKills: keyedNumber(control, 'oom_kill') ?? 0,
  };
}

/**
 * Percent of the last 10 s in which every task of our group waited for memory (PSI `full`). Null in
 * version 1, which knows it of the whole machine only, and on kernels without PSI.
 */
export function readCgroupStall({ version, directories: [own] }: MemoryCgroup): number | null {
  if (version === 1 || own === undefined) return null;
  const text = readOrNull(join(own, 'memory.pressure')) ?? '';
  const percent = /^full avg10=([\d.]+)/m.exec(text)?.[1];
  return percent === undefined ? null : Number(percent);
}

// --- internal ---

interface Mount {
  /** The group that is visible at the mount point: not `/` in a container without a namespace. */
  readonly group: string;
  readonly point: string;
}

/** Bound of the walk up the tree: systemd and Kubernetes nest five to eight deep. */
const DEPTH_MAX = 32;

function findMount(mountinfo: string, type: string, controller?: string): Mount | null {
  for (const line of mountinfo.split('\n')) {
    const [mounted, origin] = line.split(' - ');
    const [fileSystem, , superOptions = ''] = origin?.split(' ') ?? [];
    if (fileSystem !== type) continue;
    if (controller !== undefined && !superOptions.split(',').includes(controller)) continue;
    const [, , , group, point] = mounted?.split(' ') ?? [];
    if (group !== undefined && point !== undefined) {
      return { group: unescapeOctal(group), point: unescapeOctal(point) };
    }
  }
  return null;
}

function directoriesOf(point: string, mount: Mount, path: string): string[] {
  const relative = pathBelow(mount.group, path);
  const parts = relative.split('/').filter((part) => part !== '');
  const directories: string[] = [];
  for (let depth = Math.min(parts.length, DEPTH_MAX); depth >= 0; depth -= 1) {
    directories.push(join(point, ...parts.slice(0, depth)));
  }
  return directories;
}

/**
 * Our group as seen from the mount. What lies outside it (a foreign namespace) is not to be seen.
 */
function pathBelow(group: string, path: string): string {
  if (path.split('/').includes('..')) return '';
  if (group === '/') return path;
  if (path === group || path.startsWith(`${group}/`)) return path.slice(group.length);
  return '';
}

function limitOf(version: 1 | 2, directory: string): number | null {
  if (version === 2) return readNumber(join(directory, 'memory.max'));
  const own = readNumber(join(directory, 'memory.limit_in_bytes'));
  // Version 1 tells the lowest limit of all parents, those above the mount included.
  const stat = readOrNull(join(directory, 'memory.stat')) ?? '';
  const inherited = keyedNumber(stat, 'hierarchical_memory_limit');
  if (own === null || inherited === null) return own ?? inherited;
  return Math.min(own, inherited);
}

/** The number in a control file; null for "max" and for what is missing. */
function readNumber(path: string): number | null {
  const text = readOrNull(path)?.trim();
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}

/** The number after `key ` in a flat keyed file. */
function keyedNumber(text: string, key: string): number | null {
  const line = text.split('\n').find((line) => line.startsWith(`${key} `));
  return line === undefined ? null : Number(line.slice(key.length + 1));
}

/** mountinfo writes blanks in paths as `\040`. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 8)),
  );
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Each control file may be absent: older kernel, root group, controller switched off.
    return null;
  }
}

/**
 * What the kernel says about the memory of one process, read from outside it.
 *
 * The unit of every limit is *anonymous* memory (heap, buffers, stacks, shared memory, swap
 * included): it is what a leak grows and what a recycle gives back. RSS also counts the text of
 * the Node binary, 36..45 MB that all workers share, so sums of RSS say two to three times what a
 * container is charged.
 *
 * Cheap readers are synchronous: 25 µs each second and worker is less than a promise costs. On a
 * system without `/proc` (macOS) every reader returns null.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** Where the file system of the machine begins; tests put a fixture tree here. Default: `/`. */
export interface Root {
  readonly root?: string;
}

export interface WorkerMemory {
  /** RssAnon + RssShmem + VmSwap: what goes away when the process does. */
  readonly anonBytes: number;
  /** All resident pages, the shared ones of the binary included. */
  readonly rssBytes: number;
}

export interface Statm {
  readonly virtualBytes: number;
  readonly rssBytes: number;
  /** Resident pages that are backed by a file or shared. */
  readonly sharedBytes: number;
}

export interface SmapsRollup {
  readonly pssBytes: number;
  readonly pssAnonBytes: number;
  /** File pages (the binary, libraries), each divided by the number of processes that map it. */
  readonly pssFileBytes: number;
  /** Pages that only this process maps: what would be free at once if it ended. */
  readonly privateBytes: number;
  readonly swapBytes: number;
}

/**
 * Memory of a live process by `/proc/<pid>/status`; null when it is gone, a zombie, or unreadable.
 */
export function readWorkerMemory(pid: number, root: Root = {}): WorkerMemory | null {
  const parts = readParts(pid, root);
  if (parts === null) return null;
  return { anonBytes: parts.ownBytes + parts.shmemBytes, rssBytes: parts.rssBytes };
}

/**
 * Of a child that shares memory with its siblings: only what is its own, for nothing else goes away
 * with it. (Pages that it has from its parent and never wrote to are among them: some 5 MB of php.)
 */
export function readChildMemory(pid: number, root: Root = {}): WorkerMemory | null {
  const parts = readParts(pid, root);
  if (parts === null) return null;
  return { anonBytes: parts.ownBytes, rssBytes: parts.rssBytes - parts.shmemBytes };
}

/** Of their parent, with what they share: as much of that as the one of them that has most. */
export function readParentMemory(
  pid: number,
  children: readonly number[],
  root: Root = {},
): WorkerMemory | null {
  const own = readParts(pid, root);
  if (own === null) return null;
  const shares = children.map((child) => readParts(child, root)?.shmemBytes ?? 0);
  const shmemBytes = Math.max(own.shmemBytes, ...shares);
  const fileBytes = own.rssBytes - own.shmemBytes;
  return { anonBytes: own.ownBytes + shmemBytes, rssBytes: fileBytes + shmemBytes };
}

/**
 * Of a process and all that it started: for programs whose workers are processes of their own
 * (gunicorn, puma). Pages that they still share with their parent are counted in each.
 */
export function readFamilyMemory(pid: number, { root = '/' }: Root = {}): WorkerMemory | null {
  const own = readWorkerMemory(pid, { root });
  if (own === null) return null;
  const family = [pid];
  let { anonBytes, rssBytes } = own;
  // Grows while it is walked; the bound is for a program that forks without end.
  for (let index = 0; index < Math.min(family.length, FAMILY_MAX); index += 1) {
    const parent = family[index]!;
    for (const child of childrenOf(parent, root)) {
      const memory = family.includes(child) ? null : readWorkerMemory(child, { root });
      if (memory === null) continue;
      family.push(child);
      anonBytes += memory.anonBytes;
      rssBytes += memory.rssBytes;
    }
  }
  return { anonBytes, rssBytes };
}

/** The cheapest reader of all, without the anonymous share; null when the process is gone. */
export function readStatm(pid: number, { root = '/' }: Root = {}): Statm | null {
  const text = readOrNull(`${root}/proc/${pid}/statm`);
  if (text === null) return null;
  const [size, resident, shared] = text.split(' ').map(Number);
  if (size === undefined || resident === undefined || shared === undefined) return null;
  const page = pageBytes(root);
  return { virtualBytes: size * page, rssBytes: resident * page, sharedBytes: shared * page };
}

/**
 * Proportional memory. Expensive: the kernel walks every page (77 ms at 1.6 GB), hence
 * asynchronous, and for a rare refresh or a report only. Null when the process is gone, or belongs
 * to another user.
 */
export async function readSmapsRollup(
  pid: number,
  { root = '/' }: Root = {},
): Promise<SmapsRollup | null> {
  let text: string;
  try {
    text = await readFile(`${root}/proc/${pid}/smaps_rollup`, 'utf8');
  } catch {
    // ENOENT, ESRCH (it ended between open and read), EACCES (other user, hardened kernel): no
    // answer.
    return null;
  }
  const pssBytes = kibField(text, 'Pss');
  if (pssBytes === null) return null;
  // Kernels before 5.10 do not split PSS; nearly all anonymous pages of an exec'ed process are its
  // own.
  const pssAnonBytes = kibField(text, 'Pss_Anon') ?? kibField(text, 'Anonymous') ?? 0;
  return {
    pssBytes,
    pssAnonBytes,
    pssFileBytes: kibField(text, 'Pss_File') ?? Math.max(0, pssBytes - pssAnonBytes),
    privateBytes: (kibField(text, 'Private_Clean') ?? 0) + (kibField(text, 'Private_Dirty') ?? 0),
    swapBytes: kibField(text, 'Swap') ?? 0,
  };
}

/**
 * When a process began, in kernel ticks since boot: together with the pid it names a process for
 * good, so that a reused pid is never taken for the old one. Null when it is gone.
 */
export function startTimeOf(pid: number, { root = '/' }: Root = {}): number | null {
  const stat = readOrNull(`${root}/proc/${pid}/stat`);
  if (stat === null) return null;
  // The name in parentheses may hold spaces and parentheses: count from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[START_TIME_FIELD]);
  return Number.isSafeInteger(ticks) && ticks > 0 ? ticks : null;
}

// --- internal ---

const KIB = 1024;

interface MemoryParts {
  /** RssAnon + VmSwap. */
  readonly ownBytes: number;
  readonly shmemBytes: number;
  readonly rssBytes: number;
}

function readParts(pid: number, { root = '/' }: Root): MemoryParts | null {
  const status = readOrNull(`${root}/proc/${pid}/status`);
  if (status === null) return null;
  const rssBytes = kibField(status, 'VmRSS');
  // A zombie has no memory and no such line.
  if (rssBytes === null) return null;
  const ownBytes = (kibField(status, 'RssAnon') ?? 0) + (kibField(status, 'VmSwap') ?? 0);
  return { ownBytes, shmemBytes: kibField(status, 'RssShmem') ?? 0, rssBytes };
}

/** More processes than any server starts; each costs a few reads a second. */
const FAMILY_MAX = 256;

/** `starttime` is field 22 of proc(5); counting starts at field 3, the first after the name. */
const START_TIME_FIELD = 22 - 3;

/** AT_PAGESZ in the auxiliary vector: the only place where the kernel tells Node its page size. */
const AUXV_PAGE_SIZE = 6n;

const COMMON_PAGE_BYTES = 4096;

const pageBytesByRoot = new Map<string, number>();

function pageBytes(root: string): number {
  const known = pageBytesByRoot.get(root);
  if (known !== undefined) return known;
  const found = findPageBytes(root);
  pageBytesByRoot.set(root, found);
  return found;
}

function findPageBytes(root: string): number {
  try {
    const auxv = readFileSync(`${root}/proc/self/auxv`);
    for (let at = 0; at + 16 <= auxv.length; at += 16) {
      if (auxv.readBigUInt64LE(at) === AUXV_PAGE_SIZE) return Number(auxv.readBigUInt64LE(at + 8));
    }
  } catch {
    // Without the vector (32-bit, no /proc) the common size is right nearly everywhere.
  }
  return COMMON_PAGE_BYTES;
}

/** Each thread has a list of those that it started. */
function childrenOf(pid: number, root: string): readonly number[] {
  const threads = listOrNone(`${root}/proc/${pid}/task`);
  return threads.flatMap((thread) => {
    const text = readOrNull(`${root}/proc/${pid}/task/${thread}/children`) ?? '';
    return text.split(' ').filter(Boolean).map(Number);
  });
}

function listOrNone(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The value of `Name:   123 kB` in bytes. */
function kibField(text: string, name: string): number | null {
  const at = text.startsWith(`${name}:`) ? 0 : text.indexOf(`\n${name}:`) + 1;
  if (at === 0 && !text.startsWith(`${name}:`)) return null;
  const value = Number.parseInt(text.slice(at + name.length + 1, at + name.length + 24), 10);
  return Number.isNaN(value) ? null : value * KIB;
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // A process that is gone or not ours simply has no numbers.
    return null;
  }
}

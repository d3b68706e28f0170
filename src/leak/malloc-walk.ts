/**
 * Native memory in use, exactly, from outside: walks glibc's malloc chunks through /proc/PID/mem.
 * No addon, no debugger; equal to `mallinfo2` to the byte. It tells a native leak (in use climbs)
 * from fragmentation (in use is flat, free climbs), which no memory counter can.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { cachedBytes, fastBinBytes, findMainState, mayBeCache } from './malloc-caches.ts';
import type { MemoryReader } from './malloc-caches.ts';

export interface MallocWalk {
  /** Live chunks, and resident anonymous mappings that are neither V8's nor stacks. */
  readonly inUseBytes: number;
  /** Free chunks inside malloc's heaps, whether resident or not. */
  readonly freeBytes: number;
}

/** The app is idle while we walk, but its threads may not be. */
const TRIES = 3;

/**
 * Null without glibc, with another allocator, without ptrace rights, or when it will not hold
 * still.
 */
export function walkMalloc(pid: number): MallocWalk | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const found = walkOnce(pid);
    if (found === 'moved') continue;
    return found;
  }
  return null;
}

// --- internal ---

interface Region {
  readonly start: number;
  readonly end: number;
  readonly permissions: string;
  readonly name: string;
  residentBytes: number;
}

const KIB = 1024;
const ARENA_ALIGN = 64 * KIB * KIB;

/** V8 asks for its pages in the low 46 bits, aligned; glibc maps below the libraries at 0x7f… */
const V8_BELOW = 0x5000_0000_0000;
const V8_ALIGN = 256 * KIB;

/** Default size of a thread's stack; its pages are no memory of the app's making. */
const STACK_BYTES = 8192 * KIB;

/** glibc, by its name today and before 2.34. */
const LIBRARY = /\blibc(\.so\.6|-2\.\d+\.so)/;

const OTHER_ALLOCATORS = /jemalloc|mimalloc|tcmalloc/;

function walkOnce(pid: number): MallocWalk | null | 'moved' {
  const regions = readRegions(pid);
  const isGlibc = regions.some(({ name }) => LIBRARY.test(name));
  if (!isGlibc || regions.some(({ name }) => OTHER_ALLOCATORS.test(name))) return null;
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/mem`, 'r');
  } catch {
    // Hardened kernels let nobody look, not even the parent.
    return null;
  }
  try {
    return sumRegions(regions, openReader(fd));
  } catch (error) {
    return error instanceof Moved ? 'moved' : null;
  } finally {
    closeSync(fd);
  }
}

class Moved extends Error {}

function sumRegions(regions: readonly Region[], read: MemoryReader): MallocWalk {
  const found: Found = { inUse: 0, free: 0, caches: [], states: [] };
  let mapped = 0;
  for (const [at, region] of regions.entries()) {
    if (!region.permissions.startsWith('rw-p')) continue;
    if (region.name === '[heap]') {
      const top = walkChunks(read, region.start, region.end, found);
      const main = regions.filter(isLibraryData).map((data) => findMainState(read, data, top));
      found.states.push(...main.filter((state) => state !== null));
      continue;
    }
    if (region.name !== '') continue;
    const arena = arenaOf(region, regions[at + 1], read);
    if (arena !== null) {
      walkChunks(read, arena.first, arena.end, found);
      if (arena.state !== null) found.states.push(arena.state);
    } else if (!isEngine(region) && !isStack(region, regions[at - 1])) {
      mapped += region.residentBytes;
    }
  }
  let cached = 0;
  for (const chunk of found.caches) cached += cachedBytes(read, chunk);
  for (const state of found.states) cached += fastBinBytes(read, state);
  return { inUseBytes: found.inUse - cached + mapped, freeBytes: found.free + cached };
}

interface Found {
  inUse: number;
  free: number;
  /** Chunks that may be the cache of a thread. */
  readonly caches: number[];
  /** States of arenas. */
  readonly states: number[];
}

function isLibraryData({ name, permissions }: Region): boolean {
  return permissions.startsWith('rw-p') && LIBRARY.test(name);
}

function isEngine(region: Region): boolean {
  return region.start < V8_BELOW;
}

function isStack(region: Region, before: Region | undefined): boolean {
  const guarded = before?.end === region.start && before.permissions.startsWith('---');
  return guarded && region.end - region.start <= STACK_BYTES + V8_ALIGN;
}

/** Sizes of glibc's `heap_info` (2.35+: 48) and `malloc_state` (2200, to the next 16). */
const HEAP_INFO_BYTES = 48;
const ARENA_STATE_BYTES = 2208;

function arenaOf(
  region: Region,
  next: Region | undefined,
  read: MemoryReader,
): { first: number; end: number; state: number | null } | null {
  if (region.start % ARENA_ALIGN !== 0) return null;
  const filled = region.end % ARENA_ALIGN === 0;
  const reserved = next?.start === region.end && next.permissions.startsWith('---p');
  if (!filled && !reserved) return null;
  const owner = read.number(region.start);
  const size = read.number(region.start + 16);
  if (size <= 0 || size > region.end - region.start || size % 4096 !== 0) return null;
  const isFirst = owner === region.start + HEAP_INFO_BYTES;
  if (!isFirst && owner % ARENA_ALIGN !== HEAP_INFO_BYTES) return null;
  const header = HEAP_INFO_BYTES + (isFirst ? ARENA_STATE_BYTES : 0);
  return {
    first: region.start + header,
    end: region.start + size,
    state: isFirst ? region.start + HEAP_INFO_BYTES : null,
  };
}

const LEAST_CHUNK = 32;

/** A process with more chunks has other worries than a second of our time. */
const CHUNKS_LIMIT = 20_000_000;

/** Adds what it finds; returns where the last chunk is, which is the free rest of the arena. */
function walkChunks(read: MemoryReader, first: number, end: number, found: Found): number {
  let at = first;
  for (let count = 0; count < CHUNKS_LIMIT; count++) {
    const size = sizeAt(read, at);
    if (size < LEAST_CHUNK || size % 16 !== 0 || at + size > end) throw new Moved();
    // The last one is the top, which is free; a fence of 16 bytes may follow it in old heaps.
    if (at + size >= end - LEAST_CHUNK) {
      found.free += size;
      return at;
    }
    const isInUse = read.byte(at + size + 8) % 2 === 1;
    if (isInUse) found.inUse += size;
    else found.free += size;
    if (isInUse && mayBeCache(size)) found.caches.push(at);
    at += size;
  }
  throw new Moved();
}

/** The three low bits are flags. */
function sizeAt(read: MemoryReader, at: number): number {
  const low = read.number(at + 8);
  return low - (low % 8);
}

/** Headers lie close together: one read serves some hundred of them. */
const WINDOW_BYTES = 64 * KIB;

function openReader(fd: number): MemoryReader {
  const window = Buffer.alloc(WINDOW_BYTES + 8);
  let start = -1;
  let length = 0;
  const load = (at: number, bytes: number): number => {
    if (start >= 0 && at >= start && at + bytes <= start + length) return at - start;
    start = at;
    length = readSync(fd, window, 0, WINDOW_BYTES, at);
    if (length < bytes) throw new Moved();
    return 0;
  };
  return {
    number(at) {
      const offset = load(at, 8);
      return window.readUInt32LE(offset) + window.readUInt32LE(offset + 4) * 2 ** 32;
    },
    byte: (at) => window[load(at, 1)] ?? 0,
  };
}

function readRegions(pid: number): Region[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/smaps`, 'latin1');
  } catch {
    return [];
  }
  const regions: Region[] = [];
  for (const line of text.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$/.exec(line);
    if (head !== null) {
      const [, start = '0', end = '0', permissions = '', name = ''] = head;
      const range = { start: Number.parseInt(start, 16), end: Number.parseInt(end, 16) };
      regions.push({ ...range, permissions, name, residentBytes: 0 });
    } else if (line.startsWith('Rss:')) {
      const region = regions.at(-1);
      if (region !== undefined) region.residentBytes = Number.parseInt(line.slice(4), 10) * KIB;
    }
  }
  return regions;
}

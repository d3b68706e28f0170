/**
 * Freed chunks that glibc (2.32 and newer) still marks as in use: those in the caches of threads
 * and in the fast bins of arenas, to be given out again without a look at their neighbours. Up to
 * 0.25 MB for each thread, so a walk that believes the mark takes a thread pool for a leak.
 */

/** Reads the memory of another process; throws where there is none. */
export interface MemoryReader {
  /** A 64-bit number; exact below 2^53, and no address or size is above. */
  number(at: number): number;
  byte(at: number): number;
}

/**
 * Whether a chunk may be the cache of a thread: what glibc asks for it, its header, and sixteen
 * bytes more where a rest would have been too small to be a chunk.
 */
export function mayBeCache(size: number): boolean {
  return size === CACHE_CHUNK || size === CACHE_CHUNK + 16;
}

/** Bytes of freed chunks in the cache of a thread; 0 if the chunk at this address is no cache. */
export function cachedBytes(read: MemoryReader, chunk: number): number {
  const counts = chunk + HEADER_BYTES;
  const entries = counts + CACHE_BINS * 2;
  let bytes = 0;
  try {
    for (let bin = 0; bin < CACHE_BINS; bin++) {
      const count = read.byte(counts + 2 * bin) + read.byte(counts + 2 * bin + 1) * 256;
      const first = read.number(entries + 8 * bin);
      if ((count === 0) !== (first === 0)) return 0;
      if (walkList(read, first, sizeOfBin(bin), HEADER_BYTES) !== count) return 0;
      bytes += count * sizeOfBin(bin);
    }
  } catch {
    return 0;
  }
  return bytes;
}

/** Bytes of freed chunks in the fast bins of the arena whose state is at this address. */
export function fastBinBytes(read: MemoryReader, state: number): number {
  let bytes = 0;
  try {
    for (let bin = 0; bin < FAST_BINS; bin++) {
      const first = read.number(state + FAST_BINS_AT + 8 * bin);
      bytes += walkList(read, first, sizeOfBin(bin), 0) * sizeOfBin(bin);
    }
  } catch {
    return 0;
  }
  return bytes;
}

/** Where in this range the state of the main arena is, known by its pointer to the top chunk. */
export function findMainState(
  read: MemoryReader,
  { start, end }: { readonly start: number; readonly end: number },
  top: number,
): number | null {
  try {
    for (let at = start; at < end; at += 8) if (read.number(at) === top) return at - TOP_AT;
  } catch {
    // Pages of it were never touched.
  }
  return null;
}

// --- internal ---

const HEADER_BYTES = 16;

const CACHE_CHUNK = 0x290;

/** Of `tcache_perthread_struct`: counts of 2 bytes, then the first entries. */
const CACHE_BINS = 64;

/** Of `malloc_state`: the lists of chunks up to 176 bytes, and the pointer to the top chunk. */
const FAST_BINS = 10;
const FAST_BINS_AT = 16;
const TOP_AT = 96;

/** A list that is longer is none: something moved while we read. */
const LIST_LIMIT = 1_000_000;

function sizeOfBin(bin: number): number {
  return 32 + 16 * bin;
}

/**
 * How many chunks of this size are in a list whose links point so many bytes behind each header;
 * throws when it is no such list.
 */
function walkList(read: MemoryReader, first: number, size: number, behind: number): number {
  let count = 0;
  let link = first;
  while (link !== 0) {
    const chunk = link - behind;
    const found = read.number(chunk + 8);
    if (found - (found % 8) !== size || link % 16 !== 0 || count > LIST_LIMIT) {
      throw new Error('not a list of free chunks');
    }
    count++;
    link = reveal(read.number(chunk + HEADER_BYTES), chunk + HEADER_BYTES);
  }
  return count;
}

/** Links are stored mixed with their own address, against overflows that overwrite them. */
function reveal(stored: number, link: number): number {
  const key = Math.floor(link / 4096);
  const high = Math.floor(stored / 2 ** 32) ^ Math.floor(key / 2 ** 32);
  const low = (stored ^ key) >>> 0;
  return (high >>> 0) * 2 ** 32 + low;
}

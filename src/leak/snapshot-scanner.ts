/**
 * A forward-only scanner over the JSON of a heap snapshot. It knows only what snapshots contain:
 * one object whose members are one small object, arrays of whole numbers, and one array of strings.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { CofferdamError } from '../errors.ts';

export interface Scanner {
  readonly path: string;
  /** Bytes of the file. */
  readonly size: number;
  /** The value of a member that is a small object. */
  readObject(key: string): unknown;
  /** Every number of an array, in order; `expected` = how many there must be, null for any. */
  readNumbers(key: string, expected: number | null, take: (value: number) => void): void;
  /** The file offset of the first byte of each string, in chunks of equal length. */
  readStringOffsets(key: string): Float64Array[];
  close(): void;
}

export function openScanner(
  path: string,
  size: number,
  onProgress?: (readBytes: number, totalBytes: number) => void,
): Scanner {
  const window = openWindow(path, size, onProgress);
  return {
    path,
    size,
    readObject(key) {
      seekKey(window, key);
      return JSON.parse(takeObject(window)) as unknown;
    },
    readNumbers(key, expected, take) {
      seekKey(window, key);
      const got = takeNumbers(window, take, expected ?? Infinity);
      if (expected !== null && got !== expected) {
        throw bad(path, `"${key}" has ${got} numbers, its header says ${expected}`);
      }
    },
    readStringOffsets(key) {
      seekKey(window, key);
      return takeStringOffsets(window);
    },
    close: () => closeSync(window.fd),
  };
}

// --- internal ---

/** Large enough that the cost of a read vanishes, small enough to stay in the cache. */
const WINDOW_BYTES = 1 << 20;

/** The header is 2 kB; a file that goes on for so long without an end is none. */
const OBJECT_LIMIT_BYTES = 1 << 20;

const PROGRESS_BYTES = 64 << 20;

/** Offsets per chunk: growing one big array would need it twice. */
const OFFSET_CHUNK = 1 << 16;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const ZERO = 0x30;
const NINE = 0x39;

interface Window {
  readonly path: string;
  readonly fd: number;
  readonly bytes: Buffer;
  /**
   * Valid bytes in the window, the next one to look at, and where the window begins in the file.
   */
  length: number;
  at: number;
  start: number;
  readonly refill: () => boolean;
}

function openWindow(
  path: string,
  size: number,
  onProgress?: (readBytes: number, totalBytes: number) => void,
): Window {
  const fd = openSync(path, 'r');
  let told = 0;
  const window: Window = {
    path,
    fd,
    bytes: Buffer.allocUnsafe(WINDOW_BYTES),
    length: 0,
    at: 0,
    start: 0,
    refill() {
      window.start += window.length;
      window.length = readSync(fd, window.bytes, 0, WINDOW_BYTES, window.start);
      window.at = 0;
      if (onProgress !== undefined && window.start - told >= PROGRESS_BYTES) {
        told = window.start;
        onProgress(window.start, size);
      }
      return window.length > 0;
    },
  };
  return window;
}

/** The next byte, or -1 at the end of the file. */
function next(window: Window): number {
  if (window.at === window.length && !window.refill()) return -1;
  return window.bytes[window.at++] ?? -1;
}

function bad(path: string, why: string): CofferdamError {
  return new CofferdamError('COF_BAD_SNAPSHOT', `${path}: ${why}`);
}

function truncated(window: Window): CofferdamError {
  return bad(window.path, `ends after ${window.start + window.length} bytes, in the middle`);
}

/**
 * Moves behind `"key":`. Keys come in a fixed order, with members in between that we do not want
 * (trace trees, samples); none of those holds a string that is followed by a colon.
 */
function seekKey(window: Window, key: string): void {
  const wanted = Buffer.from(`"${key}":`);
  let matched = 0;
  while (matched < wanted.length) {
    const byte = next(window);
    if (byte === -1)
      throw window.start + window.length === 0
        ? bad(window.path, 'is empty')
        : missing(window, key);
    matched = byte === wanted[matched] ? matched + 1 : byte === wanted[0] ? 1 : 0;
  }
}

function missing(window: Window, key: string): CofferdamError {
  const bytes = window.start + window.length;
  return bad(window.path, `no "${key}" in ${bytes} bytes: truncated, or no heap snapshot`);
}

function takeObject(window: Window): string {
  let text = '';
  let depth = 0;
  do {
    const byte = next(window);
    if (byte === -1) throw truncated(window);
    if (byte === OPEN_BRACE) depth += 1;
    if (byte === CLOSE_BRACE) depth -= 1;
    text += String.fromCharCode(byte);
    if (text.length > OBJECT_LIMIT_BYTES) throw bad(window.path, 'the header has no end');
  } while (depth > 0);
  return text;
}

function takeNumbers(window: Window, take: (value: number) => void, limit: number): number {
  let byte = next(window);
  while (byte !== OPEN_BRACKET) {
    if (byte === -1) throw truncated(window);
    byte = next(window);
  }
  const { bytes } = window;
  let count = 0;
  let value = 0;
  let digits = 0;
  for (;;) {
    // The hot loop of the whole reader: no calls but the refill, one per megabyte.
    if (window.at === window.length && !window.refill()) throw truncated(window);
    const { length } = window;
    let at = window.at;
    for (; at < length; at++) {
      const code = bytes[at] as number;
      if (code >= ZERO && code <= NINE) {
        value = value * 10 + (code - ZERO);
        digits += 1;
        continue;
      }
      if (digits > 0) {
        if (count >= limit) throw bad(window.path, 'holds more numbers than its header says');
        take(value);
        count += 1;
        value = 0;
        digits = 0;
      }
      if (code === CLOSE_BRACKET) {
        window.at = at + 1;
        return count;
      }
    }
    window.at = at;
  }
}

function takeStringOffsets(window: Window): Float64Array[] {
  const chunks: Float64Array[] = [];
  let chunk = new Float64Array(OFFSET_CHUNK);
  let used = 0;
  let inside = false;
  let escaped = false;
  for (;;) {
    if (window.at === window.length && !window.refill()) throw truncated(window);
    const { bytes, length, start } = window;
    for (let at = window.at; at < length; at++) {
      const code = bytes[at];
      if (escaped) escaped = false;
      else if (code === BACKSLASH) escaped = true;
      else if (code === QUOTE) {
        inside = !inside;
        if (!inside) continue;
        if (used === OFFSET_CHUNK) {
          chunks.push(chunk);
          chunk = new Float64Array(OFFSET_CHUNK);
          used = 0;
        }
        chunk[used++] = start + at + 1;
      } else if (code === CLOSE_BRACKET && !inside) {
        window.at = at + 1;
        chunks.push(chunk);
        return chunks;
      }
    }
    window.at = length;
  }
}

/** The strings of a heap snapshot, fetched from the file when somebody asks for one. */
import { closeSync, openSync, readSync } from 'node:fs';

/** Names are for people; some programs keep whole files as one string. */
export const STRING_LIMIT = 200;

/** Offsets of the first byte of each string, in chunks of equal length; wrong ones read as ''. */
export function openTexts(path: string, offsets: readonly Float64Array[], fileBytes: number) {
  const fd = openSync(path, 'r');
  const known = new Map<number, string>();
  const chunk = offsets[0]?.length ?? 1;
  const buffer = Buffer.alloc(TEXT_BYTES);
  const text = (index: number): string => {
    const cached = known.get(index);
    if (cached !== undefined) return cached;
    const at = offsets[Math.floor(index / chunk)]?.[index % chunk];
    if (at === undefined || at <= 0 || at >= fileBytes) return '';
    const got = readSync(fd, buffer, 0, TEXT_BYTES, at);
    const found = decode(buffer.subarray(0, got));
    if (known.size >= TEXT_CACHE_LIMIT) known.clear();
    known.set(index, found);
    return found;
  };
  const offsetOf = (index: number): number =>
    offsets[Math.floor(index / chunk)]?.[index % chunk] ?? 0;
  // Between two strings stand a quote, a comma, a line feed and a quote.
  const textLength = (index: number): number => {
    const next = offsetOf(index + 1);
    return next === 0 ? STRING_LIMIT : next - offsetOf(index) - 4;
  };
  return { text, textLength, close: () => closeSync(fd) };
}

// --- internal ---

/** Enough bytes for STRING_LIMIT characters, each written as a `\uXXXX` escape. */
const TEXT_BYTES = STRING_LIMIT * 6;

/** Texts that were asked for; a report asks for some hundred, a hostile file for many. */
const TEXT_CACHE_LIMIT = 100_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Decodes from the byte after the opening quote to the closing one, or to the limit. */
function decode(bytes: Buffer): string {
  let end = 0;
  let safe = 0;
  while (end < bytes.length && bytes[end] !== QUOTE) {
    safe = end;
    end += bytes[end] === BACKSLASH ? (bytes[end + 1] === 0x75 ? 6 : 2) : 1;
  }
  const whole = end < bytes.length ? end : safe;
  try {
    const value = JSON.parse(`"${bytes.toString('utf8', 0, whole)}"`) as string;
    return value.slice(0, STRING_LIMIT);
  } catch {
    // Cut in the middle of an escape, or V8 wrote a lone control character: show it raw.
    return bytes.toString('utf8', 0, Math.min(whole, STRING_LIMIT));
  }
}

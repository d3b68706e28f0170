/**
 * Where things are in a JSON text. `JSON.parse` makes the value, but tells the place of a mistake
 * only in some versions of V8 and for some mistakes; and it never tells where a key was.
 */

export interface JsonPositions {
  /** Index of the first character that cannot be; null when the text is valid. */
  readonly errorIndex: number | null;
  /** Index of each key, by its path from the root, joined with `/`. */
  readonly keys: ReadonlyMap<string, number>;
}

/** Deeper is no configuration, and would overflow the stack. */
const DEPTH_MAX = 64;

export function findJsonPositions(text: string): JsonPositions {
  const keys = new Map<string, number>();
  const scanner: Scanner = { text, index: 0, keys };
  try {
    scanValue(scanner, [], 0);
    if (scanner.index < text.length) throw new Unexpected();
    return { errorIndex: null, keys };
  } catch (error) {
    if (!(error instanceof Unexpected)) throw error;
    return { errorIndex: scanner.index, keys };
  }
}

/** 1-based. */
export function lineAndColumn(text: string, index: number): { line: number; column: number } {
  const before = text.slice(0, index).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

// --- internal ---

class Unexpected extends Error {}

interface Scanner {
  readonly text: string;
  index: number;
  readonly keys: Map<string, number>;
}

const SPACE = /[ \t\r\n]*/y;
// oxlint-disable-next-line no-control-regex -- exactly what JSON forbids in a string.
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

function scanValue(scanner: Scanner, path: readonly string[], depth: number): void {
  take(scanner, SPACE);
  if (depth > DEPTH_MAX) throw new Unexpected();
  const first = scanner.text[scanner.index];
  if (first === '{') scanItems(scanner, '}', () => scanMember(scanner, path, depth));
  else if (first === '[') scanItems(scanner, ']', () => scanValue(scanner, path, depth + 1));
  else take(scanner, first === '"' ? STRING : SCALAR);
  take(scanner, SPACE);
}

function scanItems(scanner: Scanner, end: '}' | ']', scanItem: () => void): void {
  scanner.index += 1;
  take(scanner, SPACE);
  if (skip(scanner, end)) return;
  do scanItem();
  while (skip(scanner, ','));
  if (!skip(scanner, end)) throw new Unexpected();
}

function scanMember(scanner: Scanner, path: readonly string[], depth: number): void {
  take(scanner, SPACE);
  const start = scanner.index;
  const inner = [...path, JSON.parse(take(scanner, STRING)) as string];
  scanner.keys.set(inner.join('/'), start);
  take(scanner, SPACE);
  if (!skip(scanner, ':')) throw new Unexpected();
  scanValue(scanner, inner, depth + 1);
}

function take(scanner: Scanner, form: RegExp): string {
  form.lastIndex = scanner.index;
  const match = form.exec(scanner.text);
  if (match === null) throw new Unexpected();
  scanner.index = form.lastIndex;
  return match[0];
}

function skip(scanner: Scanner, character: string): boolean {
  if (scanner.text[scanner.index] !== character) return false;
  scanner.index += 1;
  return true;
}

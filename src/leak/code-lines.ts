/**
 * The lines of a file that put something into a variable: a heap snapshot knows who holds, never
 * who added. By the look of the line alone, so the report says "changed at", not "leaks at".
 */
import { readFile, stat } from 'node:fs/promises';
import { mapToSource } from './source-map.ts';

export interface CodeLine {
  readonly file: string;
  /** Counts from 1. */
  readonly line: number;
  /** The line itself, trimmed. */
  readonly text: string;
}

/** The first few lines that change `variable`; empty when the file is not there to be read. */
export async function findChanges(file: string, variable: string): Promise<CodeLine[]> {
  if (!/^[A-Za-z_$#][\w$]*$/.test(variable)) return [];
  const lines = await readLines(file);
  const isChange = changesOf(variable);
  const found: CodeLine[] = [];
  for (const [index, text] of lines.entries()) {
    const column = text.length > LINE_LIMIT || isComment(text) ? -1 : text.search(isChange);
    if (column < 0) continue;
    const source = await mapToSource(file, index + 1, column + 1);
    const written = source.file === file ? text : (await readLines(source.file))[source.line - 1];
    found.push({ ...source, text: (written ?? text).trim().slice(0, TEXT_LIMIT) });
    if (found.length === FOUND_LIMIT) break;
  }
  return found;
}

// --- internal ---

/** A variable that is changed in more places than that tells nothing by any of them. */
const FOUND_LIMIT = 3;

/** Minified code has no lines that a person could be sent to. */
const LINE_LIMIT = 400;
const TEXT_LIMIT = 120;
const FILE_LIMIT_BYTES = 4 << 20;

const ADDING_METHODS =
  'set|add|push|unshift|splice|append|enqueue|on|once|addListener|addEventListener|then|finally';

/** `v.set(`, `v[key] =`, `v = …` and `v +=` (no declaration), `await v`, `race([v, …])`. */
function changesOf(variable: string): RegExp {
  const name = `(?<![\\w$#])${variable.replaceAll(/[$]/g, '\\$&')}`;
  return new RegExp(
    [
      `${name}\\s*\\??\\.\\s*(?:${ADDING_METHODS})\\s*\\(`,
      `${name}\\s*\\[[^\\]]+\\]\\s*(?:\\?\\?|\\|\\|)?=(?![=>])`,
      `(?<!(?:const|let|var)\\s+)${name}\\s*(?:\\+|\\?\\?|\\|\\|)?=(?![=>])`,
      `(?:await|race\\(\\s*\\[?)[^;]*${name}(?![\\w$])`,
    ].join('|'),
  );
}

function isComment(text: string): boolean {
  return /^\s*(\/\/|\/?\*)/.test(text);
}

async function readLines(file: string): Promise<readonly string[]> {
  try {
    if ((await stat(file)).size > FILE_LIMIT_BYTES) return [];
    return (await readFile(file, 'utf8')).split('\n');
  } catch {
    // A snapshot may come from another machine.
    return [];
  }
}

/** From a line of built JavaScript to the line that a person wrote, by the source map beside it. */
import { readFile } from 'node:fs/promises';
import { SourceMap } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface SourcePosition {
  readonly file: string;
  /** Counts from 1. */
  readonly line: number;
}

/** Lines and columns count from 1. Without a map, or with a broken one, the position itself. */
export async function mapToSource(
  file: string,
  line: number,
  column: number,
): Promise<SourcePosition> {
  const map = await loadMap(file);
  const entry = map?.findEntry(line - 1, column - 1);
  if (entry === undefined || !('originalSource' in entry)) return { file, line };
  const source = entry.originalSource;
  const path = source.startsWith('file:') ? fileURLToPath(source) : resolve(dirname(file), source);
  return { file: path, line: entry.originalLine + 1 };
}

// --- internal ---

/** Only the last one counts, and code may quote the words. */
const MAP_COMMENT = /\/\/[#@] sourceMappingURL=(\S+)\s*$/;

/** A report names some dozen files. */
const maps = new Map<string, Promise<SourceMap | null>>();

function loadMap(file: string): Promise<SourceMap | null> {
  const known = maps.get(file) ?? readMap(file);
  maps.set(file, known);
  return known;
}

async function readMap(file: string): Promise<SourceMap | null> {
  try {
    const url = MAP_COMMENT.exec(await readFile(file, 'utf8'))?.[1];
    if (url === undefined) return null;
    const text = url.startsWith('data:')
      ? Buffer.from(url.slice(url.indexOf(',') + 1), 'base64').toString()
      : await readFile(resolve(dirname(file), url), 'utf8');
    return new SourceMap(JSON.parse(text) as ConstructorParameters<typeof SourceMap>[0]);
  } catch {
    // No file, no map, or a broken one: the built line is still a line.
    return null;
  }
}

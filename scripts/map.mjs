/**
 * Writes the map in ARCHITECTURE.md: one line per source file, taken from the first sentence of the
 * comment that opens the file. `node scripts/map.mjs`; test/docs/architecture.test.ts compares.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = join(ROOT, 'ARCHITECTURE.md');
const BEGIN = '<!-- map: made by scripts/map.mjs -->';
const END = '<!-- end of map -->';

/** All source files, relative to the repository, sorted: a folder's own files before its folders. */
export function sourceFiles() {
  return walk('src');
}

/** First sentence of the comment at the top of a file, or null when there is none. */
export function summaryOf(source) {
  const comment = /^(?:#!.*\n)?\/\*\*([^]*?)\*\//.exec(source)?.[1];
  if (comment === undefined) return null;
  const text = comment
    .replaceAll(/^\s*\* ?/gm, '')
    .trim()
    .split('\n\n')[0]
    .replaceAll(/\s+/g, ' ');
  return /^.*?[.!?](?=\s|$)/.exec(text)?.[0] ?? text;
}

/** The page with a fresh map between its markers. */
export function withMap(page) {
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`ARCHITECTURE.md needs ${BEGIN} and ${END}`);
  const lines = sourceFiles().map((file) => {
    const summary = summaryOf(readFileSync(join(ROOT, file), 'utf8'));
    return `- \`${file}\` ${summary ?? '(no comment at its top)'}`;
  });
  return `${before}${BEGIN}\n${lines.join('\n')}\n${END}${after}`;
}

// --- internal ---

function walk(folder) {
  const entries = readdirSync(join(ROOT, folder), { withFileTypes: true });
  entries.sort((a, b) => a.isDirectory() - b.isDirectory() || (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return walk(path);
    return /\.[cm]?ts$/.test(entry.name) ? [path] : [];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, withMap(readFileSync(PAGE, 'utf8')));
}

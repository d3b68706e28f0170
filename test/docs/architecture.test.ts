/** Keeps ARCHITECTURE.md true: its table of layers is read here and every import checked against it. */
import { existsSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sourceFiles, summaryOf, withMap } from '../../scripts/map.mjs';

const LINES_MAX = 300;
const COLUMNS_MAX = 100;

interface Layer {
  /** `src/control/` or `src/errors.ts`. */
  readonly path: string;
  readonly ours: string;
  readonly node: string;
  readonly packages: string;
}

interface Import {
  readonly target: string;
  readonly typeOnly: boolean;
}

const page = readFileSync('ARCHITECTURE.md', 'utf8');
const layers = readTable(page);
const files = sourceFiles();
const sources = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]));

function readTable(text: string): Layer[] {
  return text.split('\n').flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim());
    const path = /^`(src\/[^`]+)`$/.exec(cells[1] ?? '')?.[1];
    const [ours, node, packages] = cells.slice(3);
    if (path === undefined || !ours || !node || !packages) return [];
    return [{ path, ours, node, packages }];
  });
}

/** The most particular layer that holds the file. */
function layerOf(file: string): Layer | undefined {
  return layers
    .filter(({ path }) => file === path || (path.endsWith('/') && file.startsWith(path)))
    .sort((a, b) => b.path.length - a.path.length)[0];
}

function importsOf(source: string): Import[] {
  const code = source.replaceAll(/\/\*[^]*?\*\//g, '');
  const statements = code.matchAll(/^(?:import|export)\s+(type\s)?[^;'"]*?from\s+'([^']+)'/gm);
  const bare = code.matchAll(/^import\s+'([^']+)'/gm);
  const calls = code.matchAll(/(typeof\s+)?\b(?:import|require)\('([^']+)'\)/g);
  return [
    ...[...statements, ...calls].map(([, type, target = '']) => ({ target, typeOnly: !!type })),
    ...[...bare].map(([, target = '']) => ({ target, typeOnly: false })),
  ];
}

/** The word for a layer in the table's cells: `control` for `src/control/`. */
function nameOf(layer: Layer): string {
  return layer.path.replace(/^src\//, '').replace(/\/$|\.ts$/, '');
}

function complaintAbout(file: string, { target, typeOnly }: Import): string | null {
  const layer = layerOf(file);
  if (layer === undefined) return `${file} is in no layer of ARCHITECTURE.md`;
  const forbidden = `${file} (${nameOf(layer)}) must not import ${target}`;
  const allows = (cell: string, name: string) => cell.split(', ').includes(name);
  if (isBuiltin(target)) {
    if (!target.startsWith('node:')) return `${file}: write node:${target}`;
    const allowed = layer.node === 'anything' || allows(layer.node, target) || typeOnly;
    return allowed ? null : forbidden;
  }
  if (!target.startsWith('.')) return allows(layer.packages, target) ? null : forbidden;
  const path = posix.join(posix.dirname(file), target);
  const imported = layerOf(path);
  if (imported === undefined) return `${file} imports ${target}, which is in no layer`;
  if (imported === layer || allows(layer.ours, nameOf(imported))) return null;
  if (typeOnly && allows(layer.ours, `${nameOf(imported)} (types)`)) return null;
  return forbidden;
}

describe('layers', () => {
  test('every import is one that the table allows', () => {
    const complaints = files.flatMap((file) =>
      importsOf(sources.get(file)!).map((found) => complaintAbout(file, found)),
    );
    expect(complaints.filter((complaint) => complaint !== null)).toEqual([]);
    // If the reader of imports went blind, the check above would pass for ever.
    expect(complaints.length).toBeGreaterThan(files.length);
  });

  test('every file is in a layer, and every layer exists', () => {
    expect(files.filter((file) => layerOf(file) === undefined)).toEqual([]);
    expect(layers.filter(({ path }) => !existsSync(path))).toEqual([]);
  });

  test.each([
    ['src/control/pool.ts', "import { readFileSync } from 'node:fs';"],
    ['src/control/pool.ts', "import { x } from '../config/load.ts';"],
    ['src/data/agent/agent.cts', "import x from 'pino';"],
    ['src/data/agent/agent.cts', "import { x } from '../../errors.ts';"],
    ['src/data/agent/agent.cts', "const { x } = require('../../errors.ts');"],
    ['src/config/load.ts', "import type { x } from '../cli/main.ts';"],
    ['src/metrics/a.ts', "export { x } from '../index.ts';"],
    ['src/metrics/a.ts', "import {\n  x,\n} from '../supervisor/x.ts';"],
    ['src/leak/a.ts', "const { x } = await import('../supervisor/x.ts');"],
    ['src/cli/a.ts', "import fs from 'fs';"],
  ])('%s with %j is refused', (file, source) => {
    const [found] = importsOf(source);
    expect(complaintAbout(file, found!)).not.toBeNull();
  });
});

describe('house rules', () => {
  test(`files have at most ${LINES_MAX} lines`, () => {
    const long = files.filter((file) => sources.get(file)!.split('\n').length - 1 > LINES_MAX);
    expect(long).toEqual([]);
  });

  test(`comments have at most ${COLUMNS_MAX} columns (oxfmt sees to the code)`, () => {
    const isWide = (line: string) => /^\s*(\/?\*|\/\/)/.test(line) && line.length > COLUMNS_MAX;
    const wide = files.flatMap((file) =>
      sources
        .get(file)!
        .split('\n')
        .flatMap((line, index) => (isWide(line) ? [`${file}:${index + 1}`] : [])),
    );
    expect(wide).toEqual([]);
  });
});

describe('map', () => {
  test('every file says at its top, in one sentence, what it is', () => {
    expect(files.filter((file) => summaryOf(sources.get(file)!) === null)).toEqual([]);
  });

  test('ARCHITECTURE.md has that sentence for each (node scripts/map.mjs)', () => {
    expect(page).toBe(withMap(page));
  });
});

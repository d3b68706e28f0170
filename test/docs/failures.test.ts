/** The guide on failures: its tests are there, and what it says is said is said. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { explainExit } from '../../src/supervisor/explain.ts';

const GUIDE = readFileSync('docs/guide/failures.md', 'utf8');

/** Cells of the rows that have all four: what happens, what is said, what follows, the test. */
const ROWS = GUIDE.split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split(' | ').map((cell) => cell.replaceAll(/^\| | \|$/g, '')))
  .filter(([first]) => first !== 'what happens');

function sourcesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => /\.c?ts$/.test(name))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** Long texts are written in pieces. */
function joined(source: string): string {
  return source.replaceAll(/['"`] \+\s+['"`]/g, '');
}

function explanations(): string[] {
  const exit = { code: null, signal: null, spawnError: null };
  const context = {
    listenFailure: null,
    oomKilled: false,
    wasListening: true,
    isProgram: false,
    stderrLines: [],
  };
  const threw = { ...context, stderrLines: ['Error: boom', '    at app.js:1:1'] };
  return [
    explainExit({ ...exit, code: 0 }, context),
    explainExit({ ...exit, code: 1 }, threw),
    explainExit({ ...exit, signal: 'SIGKILL' }, context),
    explainExit({ ...exit, signal: 'SIGKILL' }, { ...context, oomKilled: true }),
    explainExit({ ...exit, code: 0 }, { ...context, wasListening: false }),
    explainExit({ ...exit, code: 1 }, { ...threw, wasListening: false }),
  ];
}

test('each row has a test', () => {
  expect(ROWS.length).toBeGreaterThan(15);
  for (const row of ROWS) {
    expect(row).toHaveLength(4);
    const name = /^`([a-z-]+)`$/.exec(row[3] ?? '')?.[1];
    expect(existsSync(`test/real/${name}.test.ts`), row.join(' | ')).toBe(true);
  }
});

test('what is said is what the program says', () => {
  const program = [...explanations(), ...sourcesIn('src').map(joined)].join('\n');
  const quotes = ROWS.flatMap(([, said = '']) =>
    [...said.matchAll(/`([^`]+)`/g)].map(([, quote = '']) => quote),
  );
  expect(quotes.length).toBeGreaterThan(15);
  const pieces = quotes.flatMap((quote) => quote.split('…')).map((piece) => piece.trim());
  // What Node says is no text of ours.
  const ours = pieces.filter((piece) => !piece.startsWith('listen EADDRINUSE'));
  expect(ours.filter((piece) => !program.includes(piece))).toEqual([]);
});

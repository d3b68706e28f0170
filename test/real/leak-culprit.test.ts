import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { MadeSite } from '../../src/leak/made-sites.ts';
import type { writePprof as Write } from '../../src/leak/pprof.ts';
import { searchCulprit } from '../support/leak-lane.ts';
import { scratchFolder } from '../support/scratch.ts';
import { lacks } from '../support/tools.ts';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const corpus = (name: string): string => path(`../leak-corpus/apps/${name}.cjs`);

const TYPESCRIPT = {
  built: path('../leak/fixtures/typescript/built/server.js'),
  source: path('../leak/fixtures/typescript/src/server.ts'),
};

const RUN_MS = 90_000;

/** The line of a file that contains the text, counted from 1. */
function lineOf(file: string, text: string): number {
  return (
    readFileSync(file, 'utf8')
      .split('\n')
      .findIndex((line) => line.includes(text)) + 1
  );
}

const made = (site: MadeSite | undefined) => ({
  what: site?.what,
  file: site?.place?.file,
  line: site?.place?.line,
  perRequest: site?.perRequest.toFixed(2),
});

describe('who holds it, in real apps', () => {
  test.each([
    ['closure-chain', { name: 'middleware', shape: null }],
    ['weakmap', { name: 'owner', shape: 'weak values' }],
    ['async-storage', { name: 'drained', shape: 'promises' }],
  ] as const)(
    '%s',
    async (app, expected) => {
      const { suspects, notes } = await searchCulprit(corpus(app), { signals: ['heap'] });
      expect(notes).toEqual([]);
      expect(suspects[0]).toMatchObject(expected);
      expect(suspects[0]?.reachedFrom?.file).toBe(corpus(app));
      const [kin] = suspects[0]?.kin ?? [];
      expect(kin!.perRequest! % 1, JSON.stringify(kin)).toBeCloseTo(0, 1);
      if (app === 'weakmap') {
        const said = 'values of `details` (WeakMap), whose key `owner` stays alive';
        expect(suspects[0]?.explanation).toBe(said);
      }
      if (app === 'async-storage') {
        expect(suspects[0]?.explanation).toContain('store of an AsyncLocalStorage');
        expect(suspects[0]?.changedAt[0]?.line).toBe(lineOf(corpus(app), 'await drained'));
      }
    },
    RUN_MS,
  );

  test(
    'an ES module: a variable that is exported, and the line that fills it',
    async () => {
      const store = path('../leak/fixtures/esm/store.mjs');
      const { suspects } = await searchCulprit(path('../leak/fixtures/esm/server.mjs'), {
        signals: ['heap'],
      });
      expect(suspects[0]).toMatchObject({
        name: 'visits',
        holderClass: 'Map',
        reachedFrom: { name: 'remember', file: store },
        changedAt: [{ file: store, line: lineOf(store, 'visits.set') }],
      });
      const visit = suspects[0]?.kin.find(({ className }) => className === 'Visit');
      expect(visit?.perRequest).toBeCloseTo(1, 2);
    },
    RUN_MS,
  );
});

test(
  'a search that takes too long ends, and says what is missing',
  async () => {
    const { suspects, sites, notes } = await searchCulprit(corpus('interval'), {
      signals: ['heap', 'handles'],
      culprit: { snapshotFolder: null, limitMs: 1 },
    });
    expect({ suspects, sites }).toEqual({ suspects: [], sites: [] });
    expect(notes.map((note) => note.split(':')[0])).toEqual([
      'no allocation profile',
      'no heap snapshots',
      'no creating sites',
    ]);
  },
  RUN_MS,
);

describe('who made it, in real apps', () => {
  test.each([
    ['unclosed-file', ['descriptors'], 'file descriptor', 'fs.open'],
    ['sockets', ['descriptors', 'heap'], 'TCP socket', 'net.connect'],
    ['message-port', ['native', 'heap'], 'message port', 'new MessageChannel'],
    ['interval', ['heap'], 'timer', 'setInterval'],
    ['listener', ['heap'], 'listener of "change" on EventEmitter', 'config.on'],
  ] as const)(
    '%s',
    async (app, signals, what, code) => {
      const file = app === 'sockets' ? path('../leak/fixtures/sockets.cjs') : corpus(app);
      const { sites, suspects, descriptors } = await searchCulprit(file, { signals });
      const each = app === 'message-port' ? '2.00' : '1.00';
      expect(made(sites[0])).toEqual({ what, file, line: lineOf(file, code), perRequest: each });
      if (app === 'unclosed-file') expect(descriptors[0]?.what).toBe(file);
      if (app === 'sockets') expect(suspects[0]?.name).toBe('Node / TCPSocketWrap');
      if (app === 'message-port') expect(suspects[0]?.name).toBe('Node / MessagePort');
    },
    RUN_MS,
  );
});

describe('the sampling profile', () => {
  test(
    'leads through the source map to TypeScript, as the holder does; pprof reads it',
    async () => {
      const { built, source } = TYPESCRIPT;
      const kept = scratchFolder();
      const found = await searchCulprit(built, {
        signals: ['heap'],
        profiled: 800,
        culprit: { snapshotFolder: kept },
      });
      expect(readdirSync(kept)).toEqual(['1', '2', '3'].map((name) => `${name}.heapsnapshot`));
      const pages = lineOf(source, 'pages: Array.from');
      expect(lineOf(built, 'pages: Array.from')).not.toBe(pages);
      expect(found.allocations[0]).toMatchObject({ file: source, line: pages });
      expect(found.suspects[0]).toMatchObject({
        name: 'visits',
        changedAt: [
          {
            file: source,
            line: lineOf(source, 'visits.set'),
            text: 'visits.set(visitor, describe(request));',
          },
        ],
      });
      await checkPprof(found.profile);
    },
    // Newer Go compiles its pprof when it is first asked for it.
    2 * RUN_MS,
  );

  test(
    'is all there is where snapshots would not fit, and the report says so',
    async () => {
      const folder = scratchFolder();
      const { suspects, allocations, notes } = await searchCulprit(TYPESCRIPT.built, {
        signals: ['heap'],
        profiled: 800,
        culprit: { snapshotFolder: folder, freeBytes: 100 * 2 ** 20 },
      });
      expect(suspects).toEqual([]);
      expect(readdirSync(folder)).toEqual([]);
      expect(notes.join()).toMatch(/no heap snapshots: they may need .* and 105 MB are free/);
      expect(allocations[0]?.file).toBe(TYPESCRIPT.source);
    },
    RUN_MS,
  );
});

/** Go's own tool has the last word on the format. */
async function checkPprof(profile: Parameters<typeof Write>[1] | null): Promise<void> {
  expect(profile).not.toBeNull();
  const { writePprof } = (await import(
    new URL('../../dist/leak/pprof.js', import.meta.url).href
  )) as { writePprof: typeof Write };
  const file = join(scratchFolder(), 'heap.pb.gz');
  await writePprof(file, profile!, 32 * 1024);
  if (lacks('go')) return;
  const { stdout } = await promisify(execFile)('go', ['tool', 'pprof', '-top', '-lines', file], {
    env: { ...process.env, PPROF_TMPDIR: scratchFolder() },
  });
  expect(stdout).toContain('Type: inuse_space');
  expect(stdout).toMatch(/server\.ts:\d+/);
}

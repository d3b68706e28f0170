import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { readSnapshots } from '../../src/leak/heap-compare.ts';
import { readHeapMarks, readHeapSnapshot } from '../../src/leak/heap-snapshot.ts';

const FIXTURE = fileURLToPath(new URL('fixtures/patterns.cjs', import.meta.url));
const REQUESTS = 101;
const folder = mkdtempSync(join(tmpdir(), 'cofferdam-heap-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function takeSnapshots(pattern: string): string[] {
  const target = mkdtempSync(join(folder, `${pattern}-`));
  execFileSync(process.execPath, [FIXTURE, pattern, target, String(REQUESTS)]);
  return ['1', '2', '3'].map((name) => join(target, `${name}.heapsnapshot`));
}

interface RawSnapshot {
  snapshot: { meta: { node_fields: string[] }; node_count: number; edge_count: number };
  nodes: number[];
  strings: string[];
}

describe('reader', () => {
  const [first = '', , last = ''] = takeSnapshots('map');

  test('reads what JSON.parse reads', async () => {
    const raw = JSON.parse(readFileSync(last, 'utf8')) as RawSnapshot;
    const graph = await readHeapSnapshot(last);
    const width = raw.snapshot.meta.node_fields.length;
    expect(graph.nodeCount).toBe(raw.snapshot.node_count);
    expect(graph.firstEdge[graph.nodeCount]).toBe(raw.snapshot.edge_count);
    for (let node = 0; node < graph.nodeCount; node += 97) {
      const name = raw.strings[raw.nodes[node * width + 1]!]!;
      expect(graph.text(graph.nodeName[node]!)).toBe(name.slice(0, 200));
      expect(graph.nodeId[node]).toBe(raw.nodes[node * width + 2]);
      expect(graph.nodeSize[node]).toBe(raw.nodes[node * width + 3]);
    }
    graph.close();
  });

  test('the highest id is that of V8 objects only', async () => {
    const raw = JSON.parse(readFileSync(first, 'utf8')) as RawSnapshot;
    const width = raw.snapshot.meta.node_fields.length;
    let highest = 0;
    for (let at = 2; at < raw.nodes.length; at += width) {
      const id = raw.nodes[at]!;
      if (id % 2 === 1) highest = Math.max(highest, id);
    }
    expect(await readHeapMarks(first)).toMatchObject({ highestId: highest });
  });

  test.each([0, 10, 1000, 100_000])('a file cut after %i bytes is a clear error', async (bytes) => {
    const cut = join(folder, `cut-${bytes}.heapsnapshot`);
    writeFileSync(cut, readFileSync(last));
    truncateSync(cut, bytes);
    await expect(readHeapSnapshot(cut)).rejects.toMatchObject({ code: 'COF_BAD_SNAPSHOT' });
  });

  test('cut in the last string: still a clear error', async () => {
    const cut = join(folder, 'cut-late.heapsnapshot');
    const bytes = readFileSync(last);
    writeFileSync(cut, bytes.subarray(0, bytes.length - 10));
    await expect(readHeapSnapshot(cut)).rejects.toMatchObject({ code: 'COF_BAD_SNAPSHOT' });
  });

  test.each(['{}', 'hello', '{"snapshot":{"meta":{}}}', '{"snapshot":{"node_count":1e12}}'])(
    'no snapshot: %s',
    async (text) => {
      const path = join(folder, 'none.json');
      writeFileSync(path, text);
      await expect(readHeapSnapshot(path)).rejects.toMatchObject({ code: 'COF_BAD_SNAPSHOT' });
    },
  );

  test('snapshots in the wrong order are refused', async () => {
    const paths = [last, first];
    await expect(readSnapshots(paths, { requests: null })).rejects.toMatchObject({
      code: 'COF_BAD_SNAPSHOT',
    });
  });
});

describe('the holder is named first, with an exact count per request', () => {
  test.each([
    ['map', 'sessions', 'Session', null],
    ['array', 'audit', 'Object', null],
    ['dictionary', 'index', 'Object', null],
    ['listener', 'change', 'function onChange', 'listeners of "change" on `bus`'],
    ['timer', 'timerListMap', 'Timeout', 'timers that are never cleared'],
    ['interval', 'timerListMap', 'Timeout', 'timers that are never cleared'],
    ['chain', 'head', 'Object', null],
    ['closure', 'wrapped', 'function wrapper', null],
    ['weakmap', 'owner', 'Object', 'values of `extras` (WeakMap), whose key `owner` stays alive'],
    ['weakvalues', 'keys', 'Object', null],
    ['promise', 'never', 'function afterNever', 'a promise which never settles'],
    ['race', 'never', 'Promise', 'a promise which never settles'],
    ['als', 'never', 'Generator', 'a promise which never settles'],
    ['string', 'text', '(concatenated string)', null],
    ['buffer', 'buffers', 'Buffer', 'buffers'],
    ['port', 'Node / MessagePort', 'Listener', 'message ports'],
    ['socket', 'Node / TCPSocketWrap', 'Socket', 'sockets'],
  ])('%s', async (pattern, name, className, explanation) => {
    const [suspect] = await readSnapshots(takeSnapshots(pattern), {
      requests: [REQUESTS, REQUESTS],
    });
    expect(suspect?.name).toBe(name);
    const kin = suspect?.kin.find((one) => one.className === className);
    expect(kin, JSON.stringify(suspect?.kin)).toBeDefined();
    // A server accepts its ends of the sockets when it comes to it.
    if (pattern !== 'socket') expect(kin!.perRequest! % 1).toBeCloseTo(0, 1);
    expect(kin!.perRequest).toBeGreaterThan(0.9);
    if (explanation === null) expect(suspect?.explanation).toBeNull();
    else expect(suspect?.explanation).toContain(explanation);
  });

  test('a closure is given with file and line', async () => {
    const [suspect] = await readSnapshots(takeSnapshots('listener'), { requests: null });
    const line =
      readFileSync(FIXTURE, 'utf8')
        .split('\n')
        .findIndex((text) => text.includes('onChange')) + 1;
    expect(suspect?.places[0]).toMatchObject({ name: 'onChange', file: FIXTURE, line });
  });
});

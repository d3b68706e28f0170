import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { runCli } from '../support/run-cli.ts';

const FIXTURE = fileURLToPath(new URL('../leak/fixtures/patterns.cjs', import.meta.url));
const REQUESTS = 101;
const folder = mkdtempSync(join(tmpdir(), 'cofferdam-diff-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Three snapshots of a process of its own, 101 calls apart. */
function takeSnapshots(name: string): [string, string, string] {
  const target = join(folder, name);
  mkdirSync(target);
  execFileSync(process.execPath, [FIXTURE, 'map', target, String(REQUESTS)]);
  const path = (n: number): string => join(target, `${n}.heapsnapshot`);
  return [path(1), path(2), path(3)];
}

const [one, two, three] = takeSnapshots('first');

const diff = (...args: string[]) => runCli(['leak', '--diff', ...args]);

describe('cofferdam leak --diff', () => {
  test('three snapshots and the requests between them: exact counts, holder, line', async () => {
    const ran = await diff('--requests', String(REQUESTS), one, two, three);
    expect(ran.stderr).toBe('');
    expect(ran.stdout).toMatch(
      /^Held by\n {2}1\. `sessions` \(Map\), changed at patterns\.cjs:\d+/,
    );
    expect(ran.stdout).toMatch(/new per request: 1\.000 Session, 1\.000 Array/);
    expect(ran.code).toBe(1);
  });

  test('two snapshots, requests unknown: counts as they are', async () => {
    const ran = await diff(one, two);
    expect(ran.stdout).toMatch(/`sessions` \(Map\).*\n.*new: 101 Session, 101 Array/);
    expect(ran.code).toBe(1);
  });

  test('two snapshots and the requests between them: per request of the one interval', async () => {
    const ran = await diff('--requests', String(REQUESTS), one, two);
    expect(ran.stdout).toMatch(/new per request: 1\.000 Session, 1\.000 Array/);
  });

  test('as data', async () => {
    const ran = await diff('--json', '--requests', String(REQUESTS), one, two, three);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      schema: 1,
      suspects: [
        {
          name: 'sessions',
          holderClass: 'Map',
          shape: null,
          reachedFrom: { file: FIXTURE },
          changedAt: [{ file: FIXTURE, text: expect.stringContaining('sessions.set(') as string }],
          kin: [{ className: 'Session', count: 2 * REQUESTS, perRequest: 1 }, {}, {}, {}],
        },
      ],
    });
  });

  test('nothing new between them: says so, exit 0', async () => {
    const calm = join(folder, 'calm');
    mkdirSync(calm);
    execFileSync(process.execPath, [FIXTURE, 'map', calm, '0']);
    const paths = ['1', '2', '3'].map((name) => join(calm, `${name}.heapsnapshot`));
    const ran = await diff(...paths);
    expect(ran.stdout).toContain('Nothing is held that is new in each interval.');
    expect(ran.code).toBe(0);
  });

  test('bad input: one message each, exit 2', async () => {
    const cut = join(folder, 'cut.heapsnapshot');
    copyFileSync(three, cut);
    truncateSync(cut, 1_000_000);
    const other = join(folder, 'package.json');
    writeFileSync(other, '{"name":"no snapshot"}');
    const [, , stranger] = takeSnapshots('second');
    for (const [paths, message] of [
      [[one, join(folder, 'missing.heapsnapshot')], 'cannot read'],
      [[one, folder], 'no regular file'],
      [[one, cut], 'cut.heapsnapshot is shorter than its header says: truncated'],
      [[one, other], 'no heap snapshot'],
      [[three, one], 'is not the latest of the files'],
      [[one, stranger], 'are not of the same process'],
    ] as const) {
      const ran = await diff(...paths);
      expect(ran.stderr).toContain(message);
      expect(ran.stdout).toBe('');
      expect(ran.code).toBe(2);
    }
  });
});

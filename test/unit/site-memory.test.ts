import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DISK, type Located } from '../../src/data/gateway/script-path.ts';
import { createLocator, FRESH_MS } from '../../src/data/gateway/site-memory.ts';
import { scratchFolder } from '../support/scratch.ts';

function fileOf(located: Located): string {
  return located.type === 'script' ? located.script.file : located.type;
}

test('a deployment that turns a link is seen when the moment is over, and not before', () => {
  const folder = scratchFolder();
  for (const release of ['one', 'two']) {
    mkdirSync(join(folder, release));
    writeFileSync(join(folder, release, 'x.php'), '');
  }
  const current = join(folder, 'current');
  symlinkSync('one', current);
  let now = 0;
  const site = { root: current, extensions: ['.php'], index: 'index.php', frontController: null };
  const locate = createLocator(DISK, () => now);
  expect(fileOf(locate(site, '/x.php?a'))).toBe(join(folder, 'one/x.php'));
  symlinkSync('two', `${current}.next`);
  renameSync(`${current}.next`, current);
  now = FRESH_MS - 1;
  expect(fileOf(locate(site, '/x.php?b'))).toBe(join(folder, 'one/x.php'));
  now = FRESH_MS;
  expect(fileOf(locate(site, '/x.php?c'))).toBe(join(folder, 'two/x.php'));
  // Another site is another site at once.
  expect(fileOf(locate({ ...site, root: join(folder, 'one') }, '/x.php'))).toMatch(/one/);
});

test('what is asked often costs the disk nothing, and what is asked once is forgotten', () => {
  let asked = 0;
  const disk = {
    realPath: (path: string) => ((asked += 1), path),
    kindOf: () => ((asked += 1), 'file' as const),
  };
  const site = { root: '/r', extensions: ['.php'], index: 'i.php', frontController: 'f.php' };
  const locate = createLocator(disk, () => 0);
  for (let round = 0; round < 100; round += 1) locate(site, `/x.php?${round}`);
  expect(asked).toBe(3);
  asked = 0;
  // Paths without end: each is looked up, and the first is not remembered for ever.
  for (let round = 0; round < 5000; round += 1) locate(site, `/${round}.php`);
  locate(site, '/0.php');
  expect(asked).toBeGreaterThan(10_000);
  asked = 0;
  const long = `/${'x'.repeat(5000)}.php`;
  locate(site, long);
  locate(site, long);
  expect(asked).toBeGreaterThanOrEqual(4);
});

test('where a folder without its slash leads depends on the query', () => {
  const disk = { realPath: (path: string) => path, kindOf: () => 'folder' as const };
  const site = { root: '/r', extensions: ['.php'], index: 'i.php', frontController: null };
  const locate = createLocator(disk, () => 0);
  expect(locate(site, '/a?x')).toEqual({ type: 'redirect', location: '/a/?x' });
  expect(locate(site, '/a?y')).toEqual({ type: 'redirect', location: '/a/?y' });
});

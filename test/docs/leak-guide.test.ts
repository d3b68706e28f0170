/** What the guide to `cofferdam leak` tells to type exists, and its CI job gates as it says. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { LEAK_SETTINGS } from '../../src/config/settings-leak.ts';
import { scratchFolder } from '../support/scratch.ts';

const PAGES = [
  'docs/guide/leak.md',
  'docs/leak-corpus.md',
  'examples/leak-ab/README.md',
  'examples/leak-http2/README.md',
];

test.each(PAGES)('%s: flags and links exist', (page) => {
  const text = readFileSync(page, 'utf8');
  const known: readonly string[] = LEAK_SETTINGS.map(({ key }) => key);
  const commands = text.split('\n').filter((line) => /cofferdam leak /.test(line));
  const shown = [...commands, ...[...text.matchAll(/`(--[^`]+)`/g)].map(([, flag = '']) => flag)];
  const flags = shown.flatMap((line) =>
    [...line.matchAll(/(?:^|\s|`)--([a-z][a-z0-9-]+)/g)].map(([, flag = '']) => flag),
  );
  expect(flags.filter((flag) => !known.includes(flag) && !OTHERS.has(flag))).toEqual([]);
  const links = [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target = '']) => target);
  const broken = links
    .filter((target) => !target.startsWith('https://'))
    .filter((target) => !existsSync(join(dirname(page), target)));
  expect(broken).toEqual([]);
});

/** Flags of Node, of `serve` and of the corpus runner that the pages name. */
const OTHERS = new Set(['max-requests', 'max-semi-space-size', 'repeat', 'node', 'only']);

test.each([
  [0, 0, false],
  [1, 1, false],
  [3, 0, true],
  [4, 4, false],
])('the job of the guide: leak exits with %d, the step with %d', (code, expected, warns) => {
  const guide = readFileSync('docs/guide/leak.md', 'utf8');
  const script = /run: \|\n((?: {10}.*\n)+)/.exec(guide)?.[1] ?? '';
  expect(script).toContain('npx cofferdam leak');
  const bin = scratchFolder();
  writeFileSync(join(bin, 'npx'), `#!/bin/sh\nexit ${code}\n`);
  chmodSync(join(bin, 'npx'), 0o755);
  // As GitHub runs it.
  const { status, stdout } = spawnSync('bash', ['-e', '-o', 'pipefail', '-c', script], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` },
  });
  expect(status).toBe(expected);
  expect(stdout.includes('::warning::')).toBe(warns);
});

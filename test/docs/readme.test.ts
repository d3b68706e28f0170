/** The README and the decisions promise only what is there: links, commands, flags, npm scripts. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const decisions = readdirSync('docs/decisions').map((name) => join('docs/decisions', name));
const pages = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...decisions];
const texts = new Map(pages.map((page) => [page, readFileSync(page, 'utf8')]));
const all = [...texts.values()].join('\n');
const readme = texts.get('README.md')!;

function help(...args: string[]): string {
  return execFileSync(process.execPath, ['dist/cli/main.js', ...args, '--help'], {
    encoding: 'utf8',
  });
}

test('every link leads to a file', () => {
  const broken = pages.flatMap((page) =>
    [...texts.get(page)!.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^https?:/.test(target))
      .filter((target) => !existsSync(join(dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  );
  expect(broken).toEqual([]);
});

test('every decision is in the list of decisions', () => {
  const list = texts.get('docs/decisions/README.md')!;
  const pages = decisions.map((path) => path.slice('docs/decisions/'.length));
  expect(pages.filter((name) => name !== 'README.md' && !list.includes(`(${name})`))).toEqual([]);
});

test('every command and flag in the text exists', () => {
  const commands = [...readme.matchAll(/^(?:npx )?cofferdam ([a-z]+)/gm)].map(
    ([, word = '']) => word,
  );
  expect(commands.length).toBeGreaterThan(5);
  const known = help();
  expect(commands.filter((word) => !new RegExp(`^ +${word}\\b`, 'm').test(known))).toEqual([]);

  const serve = help('serve');
  const flags = [...all.matchAll(/`(?:cofferdam serve )?(--[a-z][a-z-]+)/g)].map(
    ([, flag]) => flag!,
  );
  const shown = readme.split('\n').filter((line) => /^(npx )?cofferdam serve/.test(line));
  for (const line of shown) flags.push(...(line.match(/--[a-z][a-z-]+/g) ?? []));
  const isKnown = (flag: string) =>
    serve.includes(flag) || serve.includes(flag.replace(/^--(no-)?/, '--[no-]'));
  expect(flags.filter((flag) => !OTHERS.has(flag) && !isKnown(flag))).toEqual([]);
});

test('every npm script in the README exists', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    scripts: Record<string, string>;
  };
  for (const [, script = ''] of readme.matchAll(/^npm (start|test|run [a-z]+)/gm)) {
    const path = scripts[script.replace('run ', '')];
    expect(path, script).toBeDefined();
    expect(existsSync(path!.split(' ')[1]!), path).toBe(true);
  }
});

/** Flags in the pages that are not `serve`'s. */
const OTHERS = new Set(['--require', '--core', '--help']);

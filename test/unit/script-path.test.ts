import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  findSendfile,
  locate,
  type Located,
  type Site,
} from '../../src/data/gateway/script-path.ts';
import { scratchFolder } from '../support/scratch.ts';
import { createDice } from '../sim/dice.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** Neither sent nor run. */
const SOURCES = [
  'x.phtml',
  'x.phps',
  'x.inc',
  'x.php~',
  'x.php.bak',
  'x.PHP.old',
  'x.php5',
  'x.inc.1',
];

let site: Site;
let root: string;
let outside: string;

beforeEach(() => {
  const folder = scratchFolder();
  root = join(folder, 'root');
  outside = join(folder, 'outside');
  for (const path of ['a', '.git', '.well-known', 'dir.php', 'empty', 'html', 'ünï']) {
    mkdirSync(join(root, path), { recursive: true });
  }
  mkdirSync(outside);
  const files = ['x.php', 'index.php', 'a/index.php', 'a/b.php', 'dir.php/x.php', 'evil.gif'];
  files.push('.env', '.env.php', '.git/x.php', '.well-known/a.txt', 'SHOUT.PHP', 'html/index.html');
  files.push('ünï/é.php', 'x y.php', 'a.txt', 'a.php.js', ...SOURCES);
  for (const path of files) writeFileSync(join(root, path), '');
  writeFileSync(join(outside, 'secret.php'), '');
  writeFileSync(join(outside, 'secret.txt'), '');
  symlinkSync(join(outside, 'secret.php'), join(root, 'link.php'));
  symlinkSync(join(outside, 'secret.txt'), join(root, 'link.txt'));
  symlinkSync(outside, join(root, 'linked'));
  symlinkSync(join(root, 'evil.gif'), join(root, 'gif.php'));
  symlinkSync(join(root, 'x.php'), join(root, 'source.txt'));
  symlinkSync(join(root, 'x.php'), join(root, 'inside.php'));
  symlinkSync(join(root, '.env'), join(root, 'env.txt'));
  symlinkSync(join(root, '.git/x.php'), join(root, 'git.php'));
  site = { root, extensions: ['.php'], index: 'index.php', frontController: null };
});

/** `name|pathInfo|file` of a script, else what it is. */
function found(target: string, given = site): string {
  const located: Located = locate(given, target);
  if (located.type === 'refused') return String(located.status);
  if (located.type === 'redirect') return `to ${located.location}`;
  if (located.type === 'file') return `file ${located.file.toString().slice(root.length)}`;
  const { name, pathInfo, file } = located.script;
  return `${name}|${pathInfo}|${Buffer.from(file, 'latin1').toString().slice(root.length)}`;
}

describe('scripts', () => {
  test.each([
    ['/x.php', '/x.php|null|/x.php'],
    ['/x.php?a=/../b.php', '/x.php|null|/x.php'],
    ['/x.php/', '/x.php|/|/x.php'],
    ['/x.php/info/more', '/x.php|/info/more|/x.php'],
    ['/x.php/y.php/z', '/x.php|/y.php/z|/x.php'],
    ['/x.php/.NET', '/x.php|/.NET|/x.php'],
    ['/', '/index.php|null|/index.php'],
    ['/a/', '/a/index.php|null|/a/index.php'],
    ['/a?q', 'to /a/?q'],
    ['/x%20y.php', '/x y.php|null|/x y.php'],
    ['/%78.php', '/x.php|null|/x.php'],
    ['//a//b.php', '/a/b.php|null|/a/b.php'],
    ['/a/./b.php', '/a/b.php|null|/a/b.php'],
    ['/a/../x.php', '/x.php|null|/x.php'],
    ['/a/%2e%2e/x.php', '/x.php|null|/x.php'],
    ['/a%2fb.php', '/a/b.php|null|/a/b.php'],
    ['/inside.php', '/inside.php|null|/x.php'],
  ])('%s', (target, expected) => expect(found(target)).toBe(expected));

  test('a name need not be ASCII', () => {
    expect(found('/%C3%BCn%C3%AF/%C3%A9.php')).toContain('|null|/ünï/é.php');
    expect(found('/%C3%BCn%C3%AF')).toBe('to /%C3%BCn%C3%AF/');
  });
});

describe('what may not be reached', () => {
  test.each<[string, string, string]>([
    ['no such script', '/none.php', '404'],
    ['another extension', '/evil.gif/x.php', '404'],
    ['a script below a file', '/evil.gif/.php', '404'],
    ['a link out of the root', '/link.php', '404'],
    ['a file by a link out of the root', '/link.txt', '404'],
    ['a folder by a link out of the root', '/linked/secret.php', '404'],
    ['a link to what does not run', '/gif.php', '404'],
    ['the source of a script by a link', '/source.txt', '404'],
    ['the source of a script in capitals', '/SHOUT.PHP', '404'],
    ['a folder that is called like a script', '/dir.php', '404'],
    ['what is in a folder that is called like a script', '/dir.php/x.php', '404'],
    ...SOURCES.map(
      (name) => ['PHP by another name', `/${name}`, '404'] as [string, string, string],
    ),
    ['a script in a folder with a dot, by a link', '/git.php', '404'],
    ['a dotfile', '/.env', '404'],
    ['a dotfile that runs', '/.env.php', '404'],
    ['a dotfile by a link', '/env.txt', '404'],
    ['a folder with a dot', '/.git/x.php', '404'],
    ['the parent of the root', '/../outside/secret.php', '400'],
    ['the same, escaped', '/%2e%2e/outside/secret.php', '400'],
    ['the same, twice escaped', '/%252e%252e/outside/secret.php', '404'],
    ['a NUL', '/x.php%00.jpg', '400'],
    ['a newline', '/x.php/%0a', '400'],
    ['a control character', '/x%7f.php', '400'],
    ['half an escape', '/x%2.php', '400'],
    ['no escape', '/%zz', '400'],
    ['no path', '*', '400'],
    ['a fragment', '/x.php#y', '400'],
    ['a folder without an index', '/empty/', '404'],
    ['a text with a slash', '/a.txt/', '404'],
    ['a name that is too long', `/${'x'.repeat(5000)}.php`, '404'],
  ])('%s', (_, target, status) => expect(found(target)).toBe(status));

  test('files are files', () => {
    expect(found('/evil.gif')).toBe('file /evil.gif');
    expect(found('/a.php.js')).toBe('file /a.php.js');
    expect(found('/html/')).toBe('file /html/index.html');
    expect(found('/.well-known/a.txt')).toBe('file /.well-known/a.txt');
  });

  test(`no target leaves the root (SEED=${SEED})`, () => {
    const random = createDice(SEED);
    const words = [
      '/',
      '..',
      '.',
      '%2e',
      '%2f',
      '%00',
      'a',
      'x.php',
      'linked',
      'secret.php',
      '%',
    ] as const;
    for (let round = 0; round < 3000; round += 1) {
      let target = '/';
      for (let count = random.whole(0, 9); count > 0; count -= 1) target += random.pick(words);
      const located = locate(site, target);
      const file = located.type === 'script' ? located.script.file : null;
      if (file !== null) expect(file, target).toMatch(/\/root\/.*\.php$/);
      if (located.type === 'file') expect(located.file.toString(), target).toContain('/root/');
    }
  });
});

describe('the front controller', () => {
  const front = (): Site => ({ ...site, frontController: 'index.php' });

  test.each(['/some/page', '/none.php', '/.NET', '/empty/', '/dir.php/x.php', '/link.php'])(
    'gets %s',
    (target) => expect(found(target, front())).toBe('/index.php|null|/index.php'),
  );

  test.each([
    ['/a.txt', 'file /a.txt'],
    ['/x.php', '/x.php|null|/x.php'],
    ['/x.php%00', '400'],
  ])('does not get %s', (target, expected) => expect(found(target, front())).toBe(expected));

  test('follows a root that is turned to another release', () => {
    const link = join(scratchFolder(), 'current');
    symlinkSync(root, link);
    expect(found('/x.php', { ...site, root: link })).toBe('/x.php|null|/x.php');
  });
});

describe('files that scripts ask to be sent', () => {
  test('only what is inside the folders, by its real path', () => {
    const path = (value: string): string | undefined =>
      findSendfile({ kind: 'path', value }, [outside])?.toString();
    expect(path(join(outside, 'secret.txt'))).toBe(join(outside, 'secret.txt'));
    expect(path(join(root, 'link.txt'))).toBe(join(outside, 'secret.txt'));
    expect(path(join(root, 'a.txt'))).toBeUndefined();
    expect(path(`${outside}/../root/a.txt`)).toBeUndefined();
    expect(path(outside)).toBeUndefined();
    expect(path('secret.txt')).toBeUndefined();
    expect(path(`${outside}/secret.txt\0`)).toBeUndefined();
  });

  test('a URI is looked for below the folders', () => {
    const uri = (value: string): string | undefined =>
      findSendfile({ kind: 'uri', value }, [root, outside])?.toString();
    expect(uri('/secret%2Etxt')).toBe(join(outside, 'secret.txt'));
    expect(uri('/a.txt?x')).toBe(join(root, 'a.txt'));
    expect(uri('/../outside/secret.txt')).toBeUndefined();
    expect(uri('/none')).toBeUndefined();
  });

  test('without folders there is none', () => {
    expect(findSendfile({ kind: 'path', value: join(root, 'a.txt') }, [])).toBeNull();
  });
});

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isBehindGateway, kindOf, nameOf, type Kind } from '../../src/config/kind.ts';
import { configOf, failureOf, folderWith } from './config-helpers.ts';

const FILES = {
  'server.js': '',
  'public/index.php': '<?php',
  'public/sub/page.php': '<?php',
  'both/index.php': '<?php',
  'both/package.json': '{"main": "main.js"}',
  'both/main.js': '',
};

async function kind(argv: readonly string[], toml = ''): Promise<Kind & { folder: string }> {
  const folder = folderWith({ ...FILES, 'cofferdam.toml': toml });
  const { settings } = await configOf(argv, {}, folder);
  return { ...kindOf(settings, folder), folder };
}

const fail = (argv: readonly string[], toml = ''): Promise<string> =>
  failureOf(() => kind(argv, toml));

describe('the kind of a pool', () => {
  it('is node for what Node can start, also beside an index.php', async () => {
    const { folder, ...server } = await kind(['server.js']);
    expect(server).toEqual({ kind: 'node', app: join(folder, 'server.js') });
    const both = await kind(['both']);
    expect(both).toMatchObject({ kind: 'node', app: join(both.folder, 'both/main.js') });
  });

  it('is php for a script, and for a folder with an index.php', async () => {
    const script = await kind(['public/index.php']);
    const root = join(script.folder, 'public');
    expect(script).toMatchObject({ kind: 'php', root, frontController: 'index.php' });
    expect(await kind(['public'])).toMatchObject({ kind: 'php', frontController: null });
  });

  it('takes the script of a PHP app below a root of its own', async () => {
    const below = await kind(['public/sub/page.php', '--root', 'public']);
    expect(below).toMatchObject({ frontController: 'sub/page.php' });
    const other = await kind(['public', '--front-controller', '/sub/page.php']);
    expect(other).toMatchObject({ frontController: 'sub/page.php' });
    const none = await kind(['public/index.php', '--front-controller', 'none']);
    expect(none).toMatchObject({ frontController: null });
  });

  it('is command for words after --, and for a command in the file', async () => {
    const words = ['./service', '--port', '{port}'];
    expect(await kind(['--', ...words])).toMatchObject({ kind: 'command', command: words });
    const toml = `command = ${JSON.stringify(words)}`;
    expect(await kind([], toml)).toMatchObject({ kind: 'command', command: words });
  });

  it('takes words after an app for the arguments of the app', async () => {
    expect(await kind(['server.js', '--', 'x'])).toMatchObject({ kind: 'node' });
  });

  it.each([
    [['--kind', 'command'], '', 'COF_USAGE the command is missing | Write `cofferdam serve -- '],
    [['server.js'], 'command = ["x"]', 'COF_CONFLICT a command needs no app'],
    [['--kind', 'command', 'server.js'], '', 'COF_CONFLICT a command needs no app'],
    [['--kind', 'php'], '', 'COF_USAGE the script is missing | Give the script'],
    [['missing.php'], '', 'COF_APP_NOT_FOUND there is no missing.php'],
    [
      ['server.js', '--kind', 'php', '--root', 'public'],
      '',
      'COF_APP_NOT_FOUND the front controller ../server.js is no file below public',
    ],
    [[], '', 'COF_USAGE '],
  ])('refuses %j with %j', async (argv, toml, failure) => {
    expect(await fail(argv, toml)).toContain(failure);
  });
});

describe('who takes the connections', () => {
  const behind = async (...argv: readonly string[]): Promise<boolean> => {
    const folder = folderWith(FILES);
    const { settings } = await configOf(argv, {}, folder);
    return isBehindGateway(settings, kindOf(settings, folder));
  };

  it('is the worker for Node, unless the gateway is asked for, and else the gateway', async () => {
    expect(await behind('server.js')).toBe(false);
    expect(await behind('server.js', '--dispatch', 'gateway')).toBe(true);
    expect(await behind('server.js', '--tls-cert', 'c', '--tls-key', 'k')).toBe(true);
    expect(await behind('public')).toBe(true);
    expect(await behind('--', './service')).toBe(true);
  });

  it('cannot be a worker that we cannot give them to', async () => {
    const failure = 'COF_CONFLICT --dispatch direct is for Node apps: a php worker cannot take';
    expect(await failureOf(() => behind('public', '--dispatch', 'direct'))).toContain(failure);
    expect(await failureOf(() => behind('--dispatch', 'direct', '--', 'x'))).toContain('a command');
    const tls = ['server.js', '--tls-cert', 'c', '--tls-key', 'k', '--dispatch', 'direct'];
    expect(await failureOf(() => behind(...tls))).toContain('COF_CONFLICT --tls-cert is for the');
  });

  it('wants a certificate and its key', async () => {
    expect(await failureOf(() => behind('server.js', '--tls-cert', 'c'))).toBe(
      'COF_CONFLICT --tls-cert without --tls-key | TLS needs both.',
    );
    expect(await failureOf(() => behind('server.js', '--tls-key', 'k'))).toContain('without');
  });
});

describe('the name of what runs', () => {
  it.each([
    [['server.js'], 'server.js'],
    [['--', './service', 'x'], './service'],
  ])('%j', async (argv, name) => {
    expect(nameOf((await configOf(argv)).settings)).toBe(name);
  });
});

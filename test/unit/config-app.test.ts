import { mkdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveApp } from '../../src/config/app.ts';
import {
  controlSocketPath,
  controlSocketPaths,
  ensureSocketFolder,
} from '../../src/config/paths.ts';
import { failureOf, folderWith } from './config-helpers.ts';

describe('resolveApp', () => {
  it.each([
    ['server.js', { 'server.js': '' }, 'server.js'],
    ['server', { 'server.js': '' }, 'server.js'],
    ['.', { 'package.json': '{"main": "lib/start"}', 'lib/start.mjs': '' }, 'lib/start.mjs'],
    ['.', { 'package.json': '{"main": "lib"}', 'lib/index.js': '' }, 'lib/index.js'],
    ['.', { 'package.json': '{}', 'index.mjs': '' }, 'index.mjs'],
    ['app', { 'app/index.cjs': '' }, 'app/index.cjs'],
  ])('finds %j', (app, files, expected) => {
    const cwd = folderWith(files);
    expect(resolveApp(app, cwd)).toBe(join(cwd, expected));
  });

  it.each([
    ['sever.js', 'there is no file sever.js | Did you mean server.js?'],
    ['other.js', 'there is no file other.js | Give the file that starts your server'],
    ['no/server.js', 'there is no no/server.js: the folder no does not exist'],
    [
      'empty',
      'the folder empty has no entry point: neither a "main" in a package.json nor an index.js',
    ],
    ['unbuilt', 'unbuilt/package.json names "dist/main.js" as "main", which does not exist'],
    ['broken', 'broken/package.json cannot be read as JSON'],
  ])('%j fails', async (app, failure) => {
    const cwd = folderWith({
      'server.js': '',
      'empty/readme.md': '',
      'unbuilt/package.json': '{"main": "dist/main.js"}',
      'broken/package.json': '{',
    });
    expect(await failureOf(() => resolveApp(app, cwd))).toContain(`COF_APP_NOT_FOUND ${failure}`);
  });

  it('needs an app', async () => {
    expect(await failureOf(() => resolveApp(null, '/'))).toContain('COF_USAGE the app is missing');
  });

  it('refuses TypeScript where Node cannot run it, unless a loader is brought', async () => {
    const cwd = folderWith({ 'server.ts': '', 'server.tsx': '' });
    const file = join(cwd, 'server.ts');
    const refused = { typeScript: false };
    expect(await failureOf(() => resolveApp('server.ts', cwd, refused))).toContain(
      `COF_APP_UNSUPPORTED Node ${process.versions.node} cannot run server.ts`,
    );
    expect(resolveApp('server.ts', cwd, { typeScript: true })).toBe(file);
    expect(resolveApp('server.ts', cwd, { ...refused, nodeArgs: ['--import', 'tsx'] })).toBe(file);
    expect(
      resolveApp('server.ts', cwd, { ...refused, env: { NODE_OPTIONS: '--import=tsx' } }),
    ).toBe(file);
    expect(await failureOf(() => resolveApp('server.tsx', cwd, { typeScript: true }))).toContain(
      'cannot run server.tsx',
    );
  });
});

describe('the control socket', () => {
  it('lives in XDG_RUNTIME_DIR when that can be used, else in a folder of the user', () => {
    const runtime = folderWith();
    expect(controlSocketPath('shop', { XDG_RUNTIME_DIR: runtime })).toBe(
      join(runtime, 'cofferdam/shop.sock'),
    );
    const gone = { XDG_RUNTIME_DIR: '/does/not/exist', TMPDIR: runtime };
    const uid = process.getuid?.() ?? 0;
    expect(controlSocketPaths('shop', gone).at(-1)).toBe(
      join(runtime, `cofferdam-${uid}/shop.sock`),
    );
  });

  it('refuses a path that no socket can have', async () => {
    const deep = join(folderWith(), 'x'.repeat(100));
    mkdirSync(deep);
    expect(await failureOf(() => controlSocketPath('shop', { XDG_RUNTIME_DIR: deep }))).toContain(
      'the path of the control socket is too long',
    );
  });

  it('has a folder for its owner only', async () => {
    const socket = join(folderWith(), 'cofferdam/shop.sock');
    mkdirSync(join(socket, '..'), { mode: 0o755 });
    ensureSocketFolder(socket);
    expect(statSync(join(socket, '..')).mode & 0o777).toBe(0o700);
    const elsewhere = folderWith();
    symlinkSync(elsewhere, join(elsewhere, 'link'));
    expect(await failureOf(() => ensureSocketFolder(join(elsewhere, 'link/shop.sock')))).toContain(
      'is no folder',
    );
  });
});

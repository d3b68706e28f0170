/** `cofferdam check`, help and version, as a user meets them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/settings.ts';
import { folderWith } from '../unit/config-helpers.ts';
import { runCli } from './cli-process.ts';

const FILES = {
  'server.js': '',
  'cofferdam.toml': 'workers = 2\nmax-memory = "200MiB"\n\n[env]\nSECRET = "hunter2"\n',
};

describe('check', () => {
  it('shows every setting with its origin, and the arithmetic of the budget', async () => {
    const cwd = folderWith(FILES);
    const args = ['check', 'server.js', '-p', '80', '--memory-budget', '512MiB'];
    const { code, stdout, stderr } = await runCli(args, { cwd, env: { COFFERDAM_GATE: '2' } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { key } of SETTINGS) expect(stdout).toMatch(new RegExp(`^${key} +\\S`, 'm'));
    for (const line of [
      /^app +server\.js +argument <app>$/m,
      /^port +80 +flag -p$/m,
      /^gate +2 +env COFFERDAM_GATE$/m,
      /^max-memory +200MiB +cofferdam\.toml:2$/m,
      /^env +SECRET +cofferdam\.toml:4$/m,
      /^jitter +10% +default$/m,
      /^Budget +512MiB \(flag\), at least \(2 workers \+ 1 surge\) x 32MiB \+ 25MiB supervisor = 121MiB$/m,
      /^Share +162MiB for each of 3 workers, surge included$/m,
      /^Note +max-memory 200MiB x 3 workers \+ supervisor = 625MiB: more than the budget of 512MiB$/m,
      /^Note +surge 1 limits gate 2: only 1 can be replaced at once$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    expect(stdout).not.toContain('hunter2');
  });

  it('shows of several pools what each has of its own', async () => {
    const cwd = folderWith({
      'server.js': '',
      'cofferdam.toml':
        'workers = 2\nmemory-budget = "512MiB"\n[pools.web]\napp = "server.js"\nport = 4001\n' +
        'max-memory = "200MiB"\n[pools.api]\ncommand = ["./api"]\nport = 4002\nworkers = 1\n',
    });
    const { code, stdout } = await runCli(['check'], { cwd });
    expect(code).toBe(0);
    for (const line of [
      /^workers +2 +cofferdam\.toml:1$/m,
      /^Pool web: node, 2 workers$/m,
      /^ {2}port +4001 +cofferdam\.toml:5$/m,
      /^Pool api: command, 1 worker, behind a gateway$/m,
      /^ {2}workers +1 +cofferdam\.toml:10$/m,
      /^Budget +512MiB \(.*\), at least \(3 workers \+ 1 surge\)/m,
      /^Note +web max-memory 200MiB x 2 workers .* = 625MiB: more than the budget of 512MiB$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    const json = await runCli(['check', '--json'], { cwd });
    expect(JSON.parse(json.stdout)).toMatchObject({
      pools: [
        { name: 'web', kind: 'node', settings: { port: { value: 4001 } } },
        { name: 'api', kind: 'command', settings: { workers: { text: '1' } } },
      ],
    });
  });

  it('is one JSON document with --json', async () => {
    const cwd = folderWith(FILES);
    const { code, stdout } = await runCli(['check', 'server.js', '--json'], { cwd });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      app: join(cwd, 'server.js'),
      file: join(cwd, 'cofferdam.toml'),
      settings: {
        'max-memory': { value: 200 * 2 ** 20, text: '200MiB', from: 'cofferdam.toml:2' },
        env: { value: ['SECRET'] },
        port: { value: 3000, from: 'default' },
      },
    });
    expect(stdout).not.toContain('hunter2');
  });
});

describe('help and version', () => {
  it('help is on stdout and no error, wherever it is asked for', async () => {
    const cwd = folderWith();
    for (const args of [
      [],
      ['--help'],
      ['-h'],
      ['help'],
      ['help', 'serve'],
      ['serve', '--help'],
      ['serve', 'x', '-p', '1', '-h'],
    ]) {
      const { code, stdout, stderr } = await runCli(args, { cwd });
      expect({ code, stderr }, args.join(' ')).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('cofferdam serve server.js');
    }
  });

  it('colours only where it is wanted', async () => {
    const cwd = folderWith();
    const isColored = async (env: NodeJS.ProcessEnv): Promise<boolean> =>
      (await runCli([], { cwd, env })).stdout.includes('\u001B[');
    expect(await isColored({})).toBe(false);
    expect(await isColored({ FORCE_COLOR: '1' })).toBe(true);
    expect(await isColored({ FORCE_COLOR: '0' })).toBe(false);
    expect(await isColored({ FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false);
  });

  it('the version is the one of the package', async () => {
    const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    const { stdout } = await runCli(['--version'], { cwd: folderWith() });
    expect(stdout).toBe(`${version}\n`);
  });

  it('shows the stack with --verbose only', async () => {
    const cwd = folderWith();
    expect((await runCli(['check'], { cwd })).stderr).not.toContain(' at ');
    expect((await runCli(['check', '--verbose'], { cwd })).stderr).toContain(' at ');
  });
});

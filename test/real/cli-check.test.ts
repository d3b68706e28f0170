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
      /^Budget +512MiB \(.*\), at least \(2 node workers \+ 1 surge\) x 32MiB \+ \(1 command worker \+ 0 surge\) x 1MiB \+ 32MiB gateway \+ 25MiB supervisor = 154MiB$/m,
      /^Note +web max-memory 200MiB x 2 workers .* = 657MiB: more than the budget of 512MiB$/m,
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

  it('prints the arithmetic of what will be due, and warns in a sentence', async () => {
    const cwd = folderWith(FILES);
    const check = async (...args: string[]): Promise<string> =>
      (await runCli(['check', 'server.js', '--name', 'check-nobody', ...args], { cwd })).stdout;
    const limited = await check('--max-requests', '100', '--max-age', '10m', '--jitter', '0');
    for (const line of [
      /^Memory +floor x \(2 \+ 1 surge\) \+ leak x 100 requests x 2 has to fit into \S+;/m,
      /^Recycler load = workers x \(boot \+ drain\) \/ cycle \/ gate has to stay below 70%; max-requests 100 holds up to 70 requests\/s if both take 1s; max-age 10m leaves each of 2 workers 3m30s for both$/m,
      /^Measured nothing: no instance of this name runs$/m,
      /^Stop +40s at most: 30s drain \+ 2 x 5s kill; terminationGracePeriodSeconds has to be longer$/m,
    ]) {
      expect(limited).toMatch(line);
    }
    const hurried = await check('--max-age', '1s', '-w', '40', '--termination-grace', '30s');
    expect(hurried).toMatch(/^Note +max-age 1s cannot be kept by 40 workers: the gate has 16ms/m);
    expect(hurried).toMatch(/^Note +a stop takes up to 40s, termination-grace is 30s: /m);
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

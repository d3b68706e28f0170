import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseFlags } from '../../src/config/flags.ts';
import { needsRestart, readConfig, readSetting } from '../../src/config/load.ts';
import { adviseOn } from '../../src/config/validate.ts';
import { configOf, failureOf, folderWith } from './config-helpers.ts';

describe('precedence and origins', () => {
  const files = { 'cofferdam.toml': '# ours\nport = 1004\nworkers = 4\n\n[env]\nport = "x"\n' };

  it('is flag, COFFERDAM variable, common variable, file, default', async () => {
    const cwd = folderWith(files);
    const env = { COFFERDAM_PORT: '1002', PORT: '1003' };
    const origins: unknown[] = [];
    for (const [argv, variables] of [
      [['app.js', '--port', '1001'], env],
      [['app.js'], env],
      [['app.js'], { PORT: '1003' }],
      [['app.js'], {}],
    ] as const) {
      const { settings, origins: from } = await configOf(argv, variables, cwd);
      origins.push([settings.port, from.port.source, from.port.where]);
    }
    const bare = await configOf(['app.js']);
    origins.push([bare.settings.port, bare.origins.port.source, bare.origins.port.where]);
    expect(origins).toEqual([
      [1001, 'flag', 'flag --port'],
      [1002, 'env', 'env COFFERDAM_PORT'],
      [1003, 'env', 'env PORT'],
      [1004, 'file', 'cofferdam.toml:2'],
      [3000, 'default', 'default'],
    ]);
  });

  it('takes an empty variable for none', async () => {
    const { settings } = await configOf(['app.js'], { COFFERDAM_PORT: '', PORT: '' });
    expect(settings.port).toBe(3000);
  });

  it('reads WEB_CONCURRENCY, and tables of a file', async () => {
    const { settings, origins } = await configOf(
      ['app.js'],
      { WEB_CONCURRENCY: '3' },
      folderWith(files),
    );
    expect(settings.workers).toEqual({ min: 3, max: 3 });
    expect(settings.env).toEqual({ port: 'x' });
    expect(origins.env.where).toBe('cofferdam.toml:5');
  });
});

describe('flags', () => {
  it('knows short forms, `=`, negation, repeated lists, and leaves the rest to the app', async () => {
    const argv = ['-w2..4', 'app.js', '--no-handover', '--quiet', '--max-memory=64MiB'];
    const more = ['--node-args', '--a=1 --b', '--node-args', '--c', '--', '--port', '1', 'x'];
    const { settings } = await configOf([...argv, ...more]);
    expect(settings).toMatchObject({
      app: 'app.js',
      args: ['--port', '1', 'x'],
      workers: { min: 2, max: 4 },
      handover: false,
      quiet: true,
      maxMemoryBytes: 64 * 2 ** 20,
      nodeArgs: ['--a=1', '--b', '--c'],
      port: 3000,
    });
  });

  it('lets the last of two count', async () => {
    expect((await configOf(['a', '-p', '1', '--port', '2'])).settings.port).toBe(2);
  });

  it.each([
    [['a', '--prot', '1'], 'COF_UNKNOWN_SETTING there is no flag --prot | Did you mean --port?'],
    [
      ['a', '--maxMemory=1'],
      'COF_UNKNOWN_SETTING there is no flag --maxMemory | Did you mean --max-memory?',
    ],
    [
      ['a', '--instances', '4'],
      'COF_UNKNOWN_SETTING there is no flag --instances | Did you mean --workers?',
    ],
    [
      ['a', '--no-handovr'],
      'COF_UNKNOWN_SETTING there is no flag --no-handovr | Did you mean --no-handover?',
    ],
    [
      ['a', '-x'],
      'COF_UNKNOWN_SETTING there is no flag -x | See `cofferdam help <command>` for the settings of a command.',
    ],
    [['a', '--env', 'A=1'], 'COF_UNKNOWN_SETTING there is no flag --env | '],
    [['a', '--port'], 'COF_USAGE --port needs a value | See `cofferdam --help`.'],
    [['a', '--host', '--port', '1'], 'COF_USAGE --host needs a value | See `cofferdam --help`.'],
    [['a', '--no-quiet=1'], 'COF_USAGE --no-quiet takes no value | See `cofferdam --help`.'],
    [['a', 'b'], 'COF_USAGE unexpected argument "b" | Arguments for the app come after two dashes'],
    [['a', '--port', 'x'], 'COF_BAD_VALUE --port must be a whole number, not "x" | Write'],
    [['a', '-p', ''], 'COF_BAD_VALUE -p must be a whole number, not "" | Write'],
  ])('%j fails', async (argv, failure) => {
    expect(await failureOf(() => configOf(argv))).toContain(failure);
  });
});

describe('environment', () => {
  it('refuses a COFFERDAM variable that is none, and names the near one', async () => {
    expect(await failureOf(() => configOf(['a'], { COFFERDAM_PROT: '1' }))).toBe(
      'COF_UNKNOWN_SETTING there is no setting for the environment variable COFFERDAM_PROT | ' +
        'Did you mean COFFERDAM_PORT?',
    );
    expect(await failureOf(() => configOf(['a'], { COFFERDAM_WORKER: '4' }))).toContain(
      'Did you mean COFFERDAM_WORKERS?',
    );
    expect(await failureOf(() => configOf(['a'], { PORT: 'x' }))).toContain(
      'COF_BAD_VALUE PORT must be a whole number, not "x"',
    );
  });

  it('ignores the brief of a worker it runs in, and the service links of Kubernetes', async () => {
    const { settings } = await configOf(['a'], {
      COFFERDAM_WORKER: '{"slot":1}',
      COFFERDAM_PORT: 'tcp://10.0.0.7:80',
      COFFERDAM_SERVICE_HOST: '10.0.0.7',
      COFFERDAM_SERVICE_PORT: '80',
      COFFERDAM_SERVICE_PORT_HTTP: '80',
      COFFERDAM_PORT_80_TCP: 'tcp://10.0.0.7:80',
      COFFERDAM_PORT_80_TCP_ADDR: '10.0.0.7',
      COFFERDAM_WEB_PORT: 'tcp://10.0.0.8:80',
    });
    expect(settings.port).toBe(3000);
  });
});

describe('one against another', () => {
  it('does the arithmetic of a budget that cannot hold', async () => {
    const argv = ['a', '-w', '4', '--memory-budget', '128MiB'];
    expect(await failureOf(() => configOf(argv))).toBe(
      'COF_LIMIT_TOO_LOW a memory budget of 128MiB is below the least that this pool needs: ' +
        '(4 workers + 1 surge) x 32MiB + 25MiB supervisor = 185MiB | ' +
        'Raise the limit, or use fewer workers.',
    );
    await configOf(['a', '-w', '4', '--memory-budget', '185MiB']);
  });

  it('knows what workers of each kind need at least', async () => {
    const refused = async (...argv: string[]): Promise<string> =>
      (await failureOf(() => configOf(['--memory-budget', '40MiB', ...argv]))).split(': ')[1] ?? '';
    expect(await refused('--kind', 'command', '-w', '4', '--', './go')).toBe(
      '(4 workers + 1 surge) x 1MiB + 32MiB gateway + 25MiB supervisor = 62MiB | Raise the limit, ' +
        'or use fewer workers.',
    );
    expect(await refused('--kind', 'php', '-w', '2', 'a.php')).toContain(
      '(2 workers + 1 surge) x 4MiB + 32MiB gateway + 25MiB supervisor = 69MiB',
    );
    const reserved = ['--health-path', '/up', '--health-mode', 'reserved'];
    expect(await refused('a', '-w', '1', ...reserved)).toContain(
      '(1 worker + 1 for health checks + 1 surge) x 32MiB + 25MiB supervisor = 121MiB',
    );
    await configOf(['--memory-budget', '64MiB', '--kind', 'command', '-w', '4', '--', './go']);
    await configOf(['--kind', 'command', '--max-memory', '8MiB', '--', './go']);
    expect(await failureOf(() => configOf(['a', '--max-memory', '8MiB']))).toBe(
      'COF_LIMIT_TOO_LOW --max-memory must be at least 32MiB, not 8MiB | ' +
        'A Node worker needs 32MiB before it does any work.',
    );
  });

  it('advises on what is allowed but odd', async () => {
    const odd = ['a', '--gate', '3', '--max-memory', '35MiB', '--long-drain-timeout', '1s'];
    expect(adviseOn((await configOf(odd)).settings, 'node')).toEqual([
      'surge 1 limits gate 3: only 1 can be replaced at once',
      'the soft limit, 85% of max-memory, is 29.8MiB: ' +
        'below what a bare worker needs under load (32MiB)',
      'long-drain-timeout is shorter than drain-timeout',
    ]);
    expect(adviseOn((await configOf(['a'])).settings, 'node')).toEqual([]);
  });
});

describe('a reload', () => {
  it('reads the same request again and sees the new file, of any language', async () => {
    for (const [name, text] of [
      ['cofferdam.toml', (gate: number) => `gate = ${gate}`],
      ['cofferdam.json', (gate: number) => `{"gate": ${gate}}`],
      ['cofferdam.mjs', (gate: number) => `export default { gate: ${gate} };`],
    ] as const) {
      const cwd = folderWith({ [name]: text(2) });
      const request = { flags: parseFlags(['a', '--surge', '2']), env: {}, cwd };
      expect((await readConfig(request)).settings).toMatchObject({ gate: 2, surge: 2 });
      writeFileSync(join(cwd, name), text(3));
      expect((await readConfig(request)).settings, name).toMatchObject({ gate: 3, surge: 2 });
    }
  });

  it('knows what only a restart applies', async () => {
    const before = await configOf(['a', '--port', '1', '--gate', '1']);
    const after = await configOf(['a', '--port', '2', '--gate', '2', '--quiet']);
    expect(needsRestart(before.settings, after.settings)).toEqual(['port', 'quiet']);
  });
});

describe('one setting alone', () => {
  it('is found although another one is wrong', async () => {
    const cwd = folderWith({ 'cofferdam.toml': 'name = "shop"\ngate = 0\nbogus = 1\n' });
    const flags = parseFlags([]);
    expect(await readSetting({ flags, env: {}, cwd }, 'name')).toBe('shop');
  });

  it('does not need a file when it is given outside of it', async () => {
    const cwd = folderWith({ 'cofferdam.toml': 'name = = "shop"\n' });
    const named = parseFlags(['--name', 'other']);
    expect(await readSetting({ flags: named, env: {}, cwd }, 'name')).toBe('other');
    const broken = readSetting({ flags: parseFlags([]), env: {}, cwd }, 'name');
    expect(await failureOf(() => broken)).toContain('cofferdam.toml:1:8');
  });
});

/** "Bad input" of the contract: exit 2, one clear message, nothing started. */
import { chmodSync, existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderWith } from '../unit/config-helpers.ts';
import { CLI, runCli } from './cli-process.ts';

/** An app that leaves a trace when it is started at all. */
const APP = `
require('node:fs').writeFileSync(require('node:path').join(__dirname, 'started'), '');
require('node:http').createServer((_, answer) => answer.end('ok')).listen(0);
`;

interface Case {
  readonly what: string;
  readonly args: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  readonly message: string;
}

const CASES: readonly Case[] = [
  {
    what: 'an unknown flag',
    args: ['server.js', '--max-memry', '200MiB'],
    message: 'there is no flag --max-memry\n  Did you mean --max-memory?  [COF_UNKNOWN_SETTING]',
  },
  {
    what: 'an unknown variable',
    args: ['server.js'],
    env: { COFFERDAM_WORKRES: '2' },
    message:
      'there is no setting for the environment variable COFFERDAM_WORKRES\n' +
      '  Did you mean COFFERDAM_WORKERS?  [COF_UNKNOWN_SETTING]',
  },
  {
    what: 'an unknown key',
    args: ['server.js'],
    files: { 'cofferdam.toml': 'port = 1\nmax-reqests = 3\n' },
    message:
      'there is no setting "max-reqests" (cofferdam.toml:2)\n' +
      '  Did you mean max-requests?  [COF_UNKNOWN_SETTING]',
  },
  {
    what: 'a wrong unit',
    args: ['server.js', '--max-memory', '200M'],
    message:
      '--max-memory must be a size with its unit, or off, not "200M"\n' +
      '  Did you mean 200MiB?  [COF_BAD_VALUE]',
  },
  {
    what: 'a number without a unit in a file',
    args: ['server.js'],
    files: { 'cofferdam.json': '{\n  "maxAge": 60\n}' },
    message:
      'maxAge must be a time with its unit, or off, not the bare number 60 (cofferdam.json:2)\n' +
      '  Write it as a text with its unit, for example "60s".  [COF_BAD_VALUE]',
  },
  {
    what: 'a minimum above the maximum',
    args: ['server.js', '-w', '8..2'],
    message: '-w must have its minimum first, not "8..2"\n  Did you mean 2..8?  [COF_BAD_VALUE]',
  },
  {
    what: 'a limit below a bare worker',
    args: ['server.js', '--max-memory', '16MiB'],
    message:
      '--max-memory must be at least 32MiB, not 16MiB\n' +
      '  A Node worker needs 32MiB before it does any work.  [COF_LIMIT_TOO_LOW]',
  },
  {
    what: 'a budget that cannot hold',
    args: ['server.js', '-w', '4', '--memory-budget', '128MiB'],
    message:
      'a memory budget of 128MiB is below the least that this pool needs: ' +
      '(4 workers + 1 surge) x 32MiB + 25MiB supervisor = 185MiB\n' +
      '  Raise the limit, or use fewer workers.  [COF_LIMIT_TOO_LOW]',
  },
  {
    what: 'no app',
    args: [],
    message:
      'the app is missing\n' +
      '  Give the file that starts your server: `cofferdam serve server.js`.  [COF_USAGE]',
  },
  {
    what: 'a missing app',
    args: ['srever.js'],
    message: 'there is no file srever.js\n  Did you mean server.js?  [COF_APP_NOT_FOUND]',
  },
  {
    what: 'a folder without an entry point',
    args: ['empty'],
    files: { 'empty/readme.md': '' },
    message:
      'the folder empty has no entry point: neither a "main" in a package.json nor an index.js\n' +
      '  Give the file that starts your server: `cofferdam serve server.js`.  [COF_APP_NOT_FOUND]',
  },
  {
    what: 'a missing configuration file',
    args: ['server.js', '-c', 'shop.toml'],
    message:
      'there is no file shop.toml\n  Check the path given with --config.  [COF_CONFIG_NOT_FOUND]',
  },
  {
    what: 'a folder as configuration file',
    args: ['server.js', '-c', 'conf.toml'],
    files: { 'conf.toml/x': '' },
    message: 'conf.toml is a folder\n  Check its permissions.  [COF_CONFIG_UNREADABLE]',
  },
  {
    what: 'a syntax error in TOML',
    args: ['server.js'],
    files: { 'cofferdam.toml': 'port = 1\nhost = = 2\n' },
    message:
      'cofferdam.toml:2:8: invalid value\n' +
      '  Mend the file at the line and column shown.  [COF_CONFIG_SYNTAX]',
  },
  {
    what: 'a syntax error in JSON',
    args: ['server.js'],
    files: { 'cofferdam.json': '{\n  "port": 1,\n}\n' },
    message:
      'cofferdam.json:3:1: unexpected "}"\n' +
      '  Mend the file at the line and column shown.  [COF_CONFIG_SYNTAX]',
  },
  {
    what: 'a syntax error in a module',
    args: ['server.js'],
    files: { 'cofferdam.mjs': 'export default {\n  port: 1,,\n};\n' },
    message:
      "cofferdam.mjs:2:11: Unexpected token ','\n" +
      '  Mend the file at the line and column shown.  [COF_CONFIG_SYNTAX]',
  },
  {
    what: 'a module that throws',
    args: ['server.js'],
    files: { 'cofferdam.mjs': 'const port = 1;\nexport default { port: prot };\n' },
    message:
      'cofferdam.mjs:2:24: prot is not defined\n' +
      '  Mend the file at the line and column shown.  [COF_CONFIG_SYNTAX]',
  },
  {
    what: 'two configuration files',
    args: ['server.js'],
    files: { 'cofferdam.toml': '', 'cofferdam.json': '{}' },
    message:
      'there are both cofferdam.toml and cofferdam.json\n' +
      '  Remove one, or choose with --config.  [COF_CONFLICT]',
  },
  {
    what: 'an argument too many',
    args: ['server.js', 'extra'],
    message:
      'unexpected argument "extra"\n' +
      '  Arguments for the app come after two dashes: `cofferdam serve app.js -- argument`.  [COF_USAGE]',
  },
];

// `check` must find exactly what `serve` would refuse.
describe.each(['serve', 'check'])('%s', (command) => {
  it.each(CASES)('refuses $what', async ({ args, files = {}, env = {}, message }) => {
    const cwd = folderWith({ 'server.js': APP, ...files });
    const result = await runCli([command, ...args], { cwd, env });
    expect(result).toEqual({ code: 2, stdout: '', stderr: `cofferdam: ${message}\n` });
    expect(existsSync(join(cwd, 'started'))).toBe(false);
  });
});

/** `nobody`, everywhere. */
const NOBODY_UID = 65_534;

/** Every folder above can be entered by all, so that another user can run the command line at all. */
function canBeRunByAll(path: string): boolean {
  const folder = dirname(path);
  return (statSync(folder).mode & 0o001) !== 0 && (folder === '/' || canBeRunByAll(folder));
}

describe('files without permission', () => {
  const isRoot = process.getuid?.() === 0;

  it.skipIf(isRoot && !canBeRunByAll(CLI)).each(['cofferdam.toml', 'server.js'])(
    'refuses an unreadable %s',
    async (name) => {
      const cwd = folderWith({ 'server.js': APP, 'cofferdam.toml': '' });
      chmodSync(cwd, 0o755);
      chmodSync(join(cwd, name), 0);
      const user = isRoot ? { uid: NOBODY_UID } : {};
      const { code, stderr } = await runCli(['serve', 'server.js'], { cwd, ...user });
      expect(stderr).toContain(`cofferdam: ${name} cannot be read: permission denied\n`);
      expect(code).toBe(2);
      expect(existsSync(join(cwd, 'started'))).toBe(false);
    },
  );
});

describe('the command itself', () => {
  it.each([
    [['sevre'], 'there is no command "sevre"\n  Did you mean `cofferdam serve`?'],
    [['restart'], 'there is no command "restart"\n  Did you mean `cofferdam recycle`?'],
    [['server.js'], 'there is no command "server.js"\n  Did you mean `cofferdam serve server.js`?'],
    [['--port', '1'], 'there is no command "--port"\n  The command comes first'],
    [['recycle', 'Two'], 'a slot is a number from 1, or api/1 in a pool, not "Two"\n'],
    [['recycle', 'api/'], 'a slot is a number from 1, or api/1 in a pool, not "api/"\n'],
    [['recycle', 'api/0'], 'a slot is a number from 1, or api/1 in a pool, not "api/0"\n'],
    [['scale', 'api'], 'a number of workers is a number from 1, not "api"\n'],
    [['recycle', '1', '2'], 'unexpected argument "2"\n'],
    [['status', '--port', '1'], 'there is no flag --port\n'],
    [['status', '--name', 'A B'], '--name must be 1 to 32 small letters, digits and hyphens'],
  ])('refuses %j', async (args, message) => {
    const result = await runCli(args, { cwd: folderWith({ 'server.js': APP }) });
    expect(result.stderr).toContain(`cofferdam: ${message}`);
    expect(result).toMatchObject({ code: 2, stdout: '' });
  });
});

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/load.ts';
import { configOf, failureOf, folderWith } from './config-helpers.ts';

/** Two pools as every format writes them, each with one key of its own. */
const FORMATS: Readonly<Record<string, string>> = {
  'cofferdam.toml': `
max-age = "1h"
[pools.web]
app = "web.js"
port = 4001
max-memory = "200MiB"
[pools.api]
app = "api/main.js"
port = 4002
max-age = "2h"
`,
  'cofferdam.json': JSON.stringify({
    maxAge: '1h',
    pools: {
      web: { app: 'web.js', port: 4001, maxMemory: '200MiB' },
      api: { app: 'api/main.js', port: 4002, 'max-age': '2h' },
    },
  }),
  'cofferdam.mjs': `
const pool = (app, port) => ({ app, port });
export default {
  maxAge: '1h',
  pools: {
    web: { ...pool('web.js', 4001), maxMemory: '200MiB' },
    api: { ...pool('api/main.js', 4002), maxAge: '2h' },
  },
};
`,
  'package.json': JSON.stringify({
    name: 'shop',
    cofferdam: {
      maxAge: '1h',
      pools: {
        web: { app: 'web.js', port: 4001, maxMemory: '200MiB' },
        api: { app: 'api/main.js', port: 4002, maxAge: '2h' },
      },
    },
  }),
};

const TWO = '[pools.web]\napp = "w.js"\nport = 1\n[pools.api]\napp = "a.js"\nport = 2\n';

function poolsOf(text: string, argv: readonly string[] = [], env = {}): Promise<Config> {
  return configOf(argv, env, folderWith({ 'cofferdam.toml': text }));
}

function fail(
  text: string,
  argv: readonly string[] = [],
  name = 'cofferdam.toml',
): Promise<string> {
  return failureOf(() => configOf(argv, {}, folderWith({ [name]: text })));
}

describe('tables of pools', () => {
  it.each(Object.entries(FORMATS))('in %s', async (name, text) => {
    const cwd = folderWith({ [name]: text });
    const { pools, settings } = await configOf([], {}, cwd);
    expect(settings).toMatchObject({ app: null, maxAgeMs: 3_600_000 });
    expect(
      pools.map(({ name: pool, settings: each }) => [
        pool,
        each.app,
        each.port,
        each.maxMemoryBytes,
        each.maxAgeMs,
      ]),
    ).toEqual([
      ['web', join(cwd, 'web.js'), 4001, 200 * 2 ** 20, 3_600_000],
      ['api', join(cwd, 'api/main.js'), 4002, 0, 7_200_000],
    ]);
  });

  it('without any there is one pool, named app, with the very settings of the instance', async () => {
    const { pools, settings } = await configOf(['server.js']);
    expect(pools.map(({ name }) => name)).toEqual(['app']);
    expect(pools[0]?.settings).toEqual(settings);
  });

  it('tells of each value where it is from', async () => {
    const { pools } = await poolsOf(`gate = 2\n${TWO}gate = 3\n`, ['--max-age', '3h'], {
      COFFERDAM_JITTER: '5%',
    });
    const from = pools.map(({ origins }) => [
      origins.port.where,
      origins.gate.where,
      origins['max-age'].where,
      origins.jitter.where,
      origins.surge.where,
    ]);
    const shared = ['flag --max-age', 'env COFFERDAM_JITTER', 'default'];
    expect(from).toEqual([
      ['cofferdam.toml:4', 'cofferdam.toml:1', ...shared],
      ['cofferdam.toml:7', 'cofferdam.toml:8', ...shared],
    ]);
  });

  it('flags beat all tables, tables beat the top', async () => {
    const text = `max-age = "1h"\n${TWO}max-age = "2h"\n`;
    const ages = async (argv: readonly string[]): Promise<unknown> =>
      (await poolsOf(text, argv)).pools.map(({ settings }) => settings.maxAgeMs / 3_600_000);
    expect(await ages([])).toEqual([1, 2]);
    expect(await ages(['--max-age', '3h'])).toEqual([3, 3]);
  });

  it('passes over PORT and HOST, which are often there by chance, with several pools', async () => {
    const { pools } = await poolsOf(TWO, [], { PORT: '9', HOST: '::1' });
    expect(pools.map(({ settings }) => [settings.port, settings.host])).toEqual([
      [1, '0.0.0.0'],
      [2, '0.0.0.0'],
    ]);
  });

  it('with one pool alone every flag may be meant for it', async () => {
    const { pools } = await poolsOf('[pools.web]\napp = "w.js"\n', ['other.js', '-p', '7']);
    expect(pools[0]).toMatchObject({ name: 'web', settings: { app: 'other.js', port: 7 } });
  });
});

describe('mistakes in the tables of pools', () => {
  it.each([
    [
      `${TWO}wrokers = 2`,
      'COF_UNKNOWN_SETTING there is no setting "wrokers" (cofferdam.toml:7) | ' +
        'Did you mean workers?',
    ],
    [
      `name = "shop"\n${TWO}ops = "off"`,
      'COF_UNKNOWN_SETTING ops belongs to the whole instance, not to one pool (cofferdam.toml:8)',
    ],
    [
      `${TWO}memory-budget = "1GiB"`,
      'COF_UNKNOWN_SETTING memory-budget belongs to the whole instance, not to one pool',
    ],
    [
      `${TWO}gate = "many"`,
      'COF_BAD_VALUE gate must be a whole number, not "many" (cofferdam.toml:7)',
    ],
    [
      '[pools.Web]\napp = "a"',
      'COF_BAD_VALUE Web cannot be the name of a pool | Use up to 31 small',
    ],
    ['[pools.gateway]\napp = "a"', 'COF_BAD_VALUE gateway cannot be the name of a pool'],
    ['[pools.web-health]\napp = "a"', 'COF_BAD_VALUE web-health cannot be the name of a pool'],
    ['[pools]\n', 'COF_BAD_VALUE pools must hold a table for each pool | Write [pools.web]'],
    ['pools = 3', 'COF_BAD_VALUE pools must hold a table for each pool'],
    ['[pools]\nweb = "w.js"', 'COF_BAD_VALUE pools.web must be a table of settings'],
    ['[[pools]]\napp = "a"', 'COF_BAD_VALUE pools must hold a table for each pool'],
    [
      TWO.replace('port = 2', 'port = 1'),
      'COF_CONFLICT the pools web and api both ask for port 1 | Give each a port of its own.',
    ],
    [
      `port = 5\n${TWO.replaceAll(/port = \d\n/g, '')}`,
      'COF_CONFLICT the pools web and api both ask for port 5',
    ],
    [
      `${TWO}[cofferdam]\ngate = 2`,
      'COF_UNKNOWN_SETTING there is no setting "cofferdam" (cofferdam.toml:7) | ' +
        'This file is all ours: write the settings at its top, without a header.',
    ],
  ])('%j', async (text, failure) => {
    expect(await fail(text)).toContain(failure);
  });

  it('names the line of JSON, and of package.json, and the file alone for JavaScript', async () => {
    const tables = (inner: string): string => `{"web": {"app": "w"},\n "api": {\n${inner}}}`;
    expect(await fail(`{"pools": ${tables('"gat": 2')}}`, [], 'cofferdam.json')).toBe(
      'COF_UNKNOWN_SETTING there is no setting "gat" (cofferdam.json:3) | Did you mean gate?',
    );
    const manifest = `{\n"cofferdam": {"pools": ${tables('"gate": "x"')}}}`;
    expect(await fail(manifest, [], 'package.json')).toContain('"x" (package.json:4)');
    const module = 'export default { pools: { web: { gat: 1 } } };';
    expect(await fail(module, [], 'cofferdam.mjs')).toContain('"gat" (cofferdam.mjs)');
  });

  it.each([
    [['server.js'], 'app cannot be the same for several pools'],
    [['--port', '80'], '--port cannot be the same for several pools'],
    [['--kind', 'php'], '--kind cannot be the same for several pools'],
    [['--', 'x'], 'cannot be the same for several pools'],
  ])('refuses %j for several pools', async (argv, failure) => {
    expect(await fail(TWO, argv)).toMatch(/^COF_CONFLICT .* \| Write \S+ into the tables of/);
    expect(await fail(TWO, argv)).toContain(failure);
  });
});

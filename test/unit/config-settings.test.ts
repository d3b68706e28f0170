import { describe, expect, it } from 'vitest';
import { parseFlags } from '../../src/config/flags.ts';
import { readFlags } from '../../src/config/load.ts';
import { policyOf } from '../../src/config/policy.ts';
import { propertyOf, type SettingRow, variableOf } from '../../src/config/setting-row.ts';
import { LEAK_SETTINGS } from '../../src/config/settings-leak.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { suggest } from '../../src/config/suggest.ts';
import { formatValue, parseFileValue, parseText } from '../../src/config/values.ts';
import { configOf } from './config-helpers.ts';

const NO_ADDRESS = (text: string): string =>
  `must be addresses, networks such as 10.0.0.0/8, or unix, not ${JSON.stringify(text)}`;

const ROWS: readonly SettingRow[] = SETTINGS;

function rowOf(key: string): SettingRow {
  const row = ROWS.find((candidate) => candidate.key === key);
  if (row === undefined) throw new Error(`no row ${key}`);
  return row;
}

describe.each([
  ['serve', ROWS],
  ['leak', LEAK_SETTINGS as readonly SettingRow[]],
])('the settings table of %s', (_, rows) => {
  it('has each key, short flag and property once', () => {
    for (const names of [
      rows.map(({ key }) => key),
      rows.flatMap(({ short }) => short ?? []),
      rows.map(propertyOf),
      rows.flatMap((row) => [variableOf(row.key), ...(row.commonVariables ?? [])]),
    ]) {
      expect(new Set(names).size).toBe(names.length);
    }
  });

  it('has defaults that the setting itself would accept, and reads back what it writes', () => {
    for (const row of rows) {
      if (row.default === null || ['map', 'list', 'texts'].includes(row.kind)) continue;
      const text = formatValue(row, row.default);
      expect(parseText(row, text), `${row.key}=${text}`).toEqual({ ok: true, value: row.default });
    }
  });

  it('suggests nothing that is a setting of its own', () => {
    const keys = rows.map(({ key }) => key);
    for (const row of rows) {
      for (const word of row.elsewhere ?? []) expect(keys, word).not.toContain(word);
    }
  });

  it('says in one sentence what each setting is', () => {
    for (const row of rows) expect(row.sentence, row.key).toMatch(/^[A-Z].*\.$/);
  });
});

describe('values', () => {
  it.each([
    ['port', '0', 0],
    ['workers', 'auto', 'auto'],
    ['workers', '4', { min: 4, max: 4 }],
    ['workers', '2..8', { min: 2, max: 8 }],
    ['max-memory', 'off', 0],
    ['max-memory', '0', 0],
    ['max-age', '1h30m', 5_400_000],
    ['jitter', '0%', 0],
    ['surge', '0', 0],
    ['memory-budget', 'auto', 'auto'],
    ['handover', 'no', false],
    ['node-args', ' --a=1   --b ', ['--a=1', '--b']],
    ['log', 'json', 'json'],
  ])('%s takes %j', (key, text, value) => {
    expect(parseText(rowOf(key), text)).toEqual({ ok: true, value });
  });

  it.each([
    ['port', 'http', 'must be a whole number, not "http"', 'Write a whole number.'],
    ['port', '65536', 'must be at most 65535, not 65536', 'A TCP port; 0 takes any free one.'],
    ['port', '-1', 'must be at least 0, not -1', 'A TCP port; 0 takes any free one.'],
    [
      'max-memory',
      '512M',
      'must be a size with its unit, or off, not "512M"',
      'Did you mean 512MiB?',
    ],
    ['max-age', '30sec', 'must be a time with its unit, or off, not "30sec"', 'Did you mean 30s?'],
    ['max-age', '5min', 'must be a time with its unit, or off, not "5min"', 'Did you mean 5m?'],
    ['jitter', '0.1', 'must be a share in percent, or off, not "0.1"', 'Did you mean 10%?'],
    ['jitter', '60%', 'must be at most 50%, not 60%', 'More would halve the limits.'],
    ['workers', '8..2', 'must have its minimum first, not "8..2"', 'Did you mean 2..8?'],
    [
      'workers',
      '0',
      'must be at least 1, not 0',
      'More workers than that is a slip of the finger.',
    ],
    ['gate', 'off', 'must be a whole number, not "off"', 'Write a whole number.'],
    ['boot-timeout', '0', 'must be a time with its unit, not "0"', undefined],
    [
      'name',
      'My App',
      'must be 1 to 32 small letters, digits and hyphens, not "My App"',
      undefined,
    ],
    ['host', '', 'must be an address or a host name, without brackets or port, not ""', undefined],
    ['log', 'xml', 'must be auto or pretty or json, not "xml"', 'Choose one of them.'],
    ['app', 'a\0b', 'must not contain a NUL character', undefined],
  ])('%s refuses %j', (key, text, problem, hint) => {
    const parsed = parseText(rowOf(key), text);
    expect(parsed).toMatchObject({ ok: false, problem });
    if (hint !== undefined) expect(parsed).toMatchObject({ hint });
  });

  it('calls a limit below a bare worker by its own code', () => {
    expect(parseText(rowOf('max-memory'), '8KiB')).toMatchObject({ code: 'COF_LIMIT_TOO_LOW' });
  });

  it('takes from a file what the file language can say', () => {
    expect(parseFileValue(rowOf('port'), 8080)).toEqual({ ok: true, value: 8080 });
    expect(parseFileValue(rowOf('workers'), 3)).toEqual({ ok: true, value: { min: 3, max: 3 } });
    expect(parseFileValue(rowOf('max-age'), 0)).toEqual({ ok: true, value: 0 });
    expect(parseFileValue(rowOf('quiet'), true)).toEqual({ ok: true, value: true });
    expect(parseFileValue(rowOf('args'), ['a b'])).toEqual({ ok: true, value: ['a b'] });
    expect(parseFileValue(rowOf('env'), { A: 1, B: 'x' })).toEqual({
      ok: true,
      value: { A: '1', B: 'x' },
    });
  });

  it.each([
    [
      'max-memory',
      200,
      'must be a size with its unit, or off, not the bare number 200',
      '"200MiB"',
    ],
    ['max-age', 60, 'must be a time with its unit, or off, not the bare number 60', '"60s"'],
    ['jitter', 10, 'must be a share in percent, or off, not the bare number 10', '"10%"'],
    ['port', 80.5, 'must be a whole number, not "80.5"', 'Write a whole number.'],
    ['port', true, 'must be a whole number, not true', 'Write a whole number.'],
    ['quiet', 1, 'must be true or false, not 1', 'Write true or false.'],
    ['args', [1], 'must be a list of texts, not 1', 'Write an array of texts.'],
    ['trusted-proxies', ['unix', '::1/128', '10.0.0.0/33'], NO_ADDRESS('10.0.0.0/33'), ''],
    ['trusted-proxies', '127.0.0.1 proxy.internal', NO_ADDRESS('proxy.internal'), ''],
    ['trusted-proxies', ['10.0.0.0/8/8'], NO_ADDRESS('10.0.0.0/8/8'), ''],
    ['env', ['A=1'], 'must be a table of texts, not ["A=1"]', 'NAME = "value"'],
    ['env', { 'A-B': '1' }, 'has a name that no variable can have: "A-B"', ''],
    ['env', { A: { b: 1 } }, 'has no text for A, but {"b":1}', 'NAME = "value"'],
  ])('%s refuses %j from a file', (key, value, problem, hint) => {
    const parsed = parseFileValue(rowOf(key), value);
    expect(parsed).toMatchObject({ ok: false, problem });
    expect('hint' in parsed ? parsed.hint : '').toContain(hint);
  });
});

describe('suggest', () => {
  it('finds what was meant, and nothing where nothing was near', () => {
    const words = ['port', 'workers', 'max-memory', 'max-requests', 'log'];
    expect(suggest('prot', words)).toBe('port');
    expect(suggest('wokers', words)).toBe('workers');
    expect(suggest('MAX-MEMORY', words)).toBe('max-memory');
    expect(suggest('max-reqests', words)).toBe('max-requests');
    expect(suggest('max-reqsts', words)).toBe('max-requests');
    expect(suggest('zzz', words)).toBeNull();
    expect(suggest('x'.repeat(1000), words)).toBeNull();
  });
});

describe('policyOf', () => {
  it('resolves auto, and carries every number over with its unit', async () => {
    const { settings } = await configOf(['app.js', '--max-memory', '200MiB', '--max-age', '1h']);
    expect(policyOf(settings, 512 * 2 ** 20, 0, 6)).toEqual({
      workers: 6,
      workersMin: 6,
      workersMax: 6,
      maxRequests: 0,
      exactRequests: false,
      jitter: 0.1,
      maxMemoryBytes: 200 * 2 ** 20,
      memorySoftShare: 0.85,
      maxAgeMs: 3_600_000,
      gate: 1,
      surge: 1,
      bootTimeoutMs: 30_000,
      drainTimeoutMs: 30_000,
      longDrainTimeoutMs: 120_000,
      killTimeoutMs: 5000,
      shutdownDelayMs: 0,
      unresponsiveTimeoutMs: 30_000,
      budgetBytes: 512 * 2 ** 20,
      roomBytes: 0,
      minAgeMs: 5000,
      predict: true,
      heal: true,
      fitWorkers: true,
      strategy: 'static',
      spare: 1,
      idleTimeoutMs: 10_000,
      concurrency: 0,
    });
    const ranged = await configOf(['app.js', '-w', '2..8']);
    expect(policyOf(ranged.settings, 0, 0, 6)).toMatchObject({
      workers: 2,
      workersMin: 2,
      workersMax: 8,
    });
  });

  it.each([
    ['dynamic', '6', { workers: 1, workersMin: 1, workersMax: 6 }],
    ['dynamic', '2..6', { workers: 2, workersMin: 2, workersMax: 6 }],
    ['dynamic', 'auto', { workers: 1, workersMin: 1, workersMax: 4 }],
    ['ondemand', '6', { workers: 1, workersMin: 1, workersMax: 6 }],
    ['ondemand', '2..6', { workers: 1, workersMin: 1, workersMax: 6 }],
  ])('%s takes %s workers as the most', async (strategy, workers, sizes) => {
    const { settings } = await configOf(['app.js', '-w', workers, '--strategy', strategy]);
    expect(policyOf(settings, 0, 0, 4)).toMatchObject({ strategy, ...sizes });
  });
});

it('a text that may be given several times keeps its spaces and its order', () => {
  const argv = ['app.js', '--header', 'a: 1', '--arm', 'x=A=1 --b', '--header', 'c: d e'];
  const settings = readFlags(LEAK_SETTINGS, parseFlags(argv, { table: LEAK_SETTINGS }));
  expect(settings).toMatchObject({ app: 'app.js', header: ['a: 1', 'c: d e'], arm: ['x=A=1 --b'] });
  expect(settings).toMatchObject({ durationMs: null, restMs: 5000, memoryLimitBytes: 2 ** 29 });
});

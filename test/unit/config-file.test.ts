import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findJsonPositions } from '../../src/config/json-positions.ts';
import { configOf, failureOf, folderWith } from './config-helpers.ts';

describe('finding the file', () => {
  it('prefers cofferdam.* to package.json, and never looks above', async () => {
    const cwd = folderWith({
      'package.json': '{"cofferdam": {"gate": 2}}',
      'inner/readme': '',
    });
    expect((await configOf(['a'], {}, cwd)).origins.gate.where).toBe('package.json:1');
    expect((await configOf(['a'], {}, join(cwd, 'inner'))).file).toBeNull();
  });

  it('takes a package.json without our key for none', async () => {
    const cwd = folderWith({ 'package.json': '{"name": "x"}' });
    expect((await configOf(['a'], {}, cwd)).file).toBeNull();
  });

  it('resolves the path of the app against the folder of the file', async () => {
    const cwd = folderWith({ 'etc/shop.toml': 'app = "../server.js"' });
    const { settings, file } = await configOf(['-c', 'etc/shop.toml'], {}, cwd);
    expect(settings.app).toBe(join(cwd, 'server.js'));
    expect(file).toBe(join(cwd, 'etc/shop.toml'));
  });

  it('refuses two files, a missing one, a folder, and another language', async () => {
    const cwd = folderWith({ 'cofferdam.toml': '', 'cofferdam.mjs': '', 'x.yaml': 'a: 1' });
    mkdirSync(join(cwd, 'folder.toml'));
    const fail = (...argv: string[]): Promise<string> => failureOf(() => configOf(argv, {}, cwd));
    expect(await fail('a')).toBe(
      'COF_CONFLICT there are both cofferdam.toml and cofferdam.mjs | ' +
        'Remove one, or choose with --config.',
    );
    expect(await fail('a', '-c', 'no.toml')).toContain(
      'COF_CONFIG_NOT_FOUND there is no file no.toml',
    );
    expect(await fail('a', '-c', 'folder.toml')).toContain(
      'COF_CONFIG_UNREADABLE folder.toml is a folder',
    );
    expect(await fail('a', '-c', 'x.yaml')).toContain(
      'must end in .toml, .json or .mjs, not as x.yaml',
    );
  });
});

describe('mistakes in the file', () => {
  const fail = (name: string, text: string): Promise<string> =>
    failureOf(() => configOf(['a'], {}, folderWith({ [name]: text })));

  it.each([
    ['cofferdam.toml', 'gate = 1\nport = = 2\n', 'cofferdam.toml:2:8: '],
    ['cofferdam.json', '{\n  "gate": 1,\n}', 'cofferdam.json:3:1: unexpected "}"'],
    ['cofferdam.json', '{ gate: 1 }', 'cofferdam.json:1:3: unexpected "g"'],
    ['cofferdam.json', '{"gate": 1', 'cofferdam.json:1:11: unexpected end'],
    ['cofferdam.json', '[1]', 'cofferdam.json: it must hold a table of settings'],
    ['cofferdam.mjs', 'export const gate = 1;\n', 'cofferdam.mjs: it has no default export'],
    ['package.json', '{"name": x}', 'package.json:1:10: unexpected "x"'],
    [
      'package.json',
      '{"cofferdam": 3}',
      'package.json#cofferdam: it must hold a table of settings',
    ],
  ])('%s %j', async (name, text, failure) => {
    expect(await fail(name, text)).toContain(`COF_CONFIG_SYNTAX ${failure}`);
  });

  it.each([
    [
      'cofferdam.toml',
      '\nmax_memory = "1MiB"',
      'there is no setting "max_memory" (cofferdam.toml:2) | Did you mean max-memory?',
    ],
    [
      'cofferdam.toml',
      'maxMemory = "1MiB"',
      'there is no setting "maxMemory" (cofferdam.toml:1) | Did you mean max-memory?',
    ],
    [
      'cofferdam.toml',
      'instances = 3',
      'there is no setting "instances" (cofferdam.toml:1) | Did you mean workers?',
    ],
    [
      'cofferdam.json',
      '{"wrokers": 2}',
      'there is no setting "wrokers" (cofferdam.json:1) | Did you mean workers?',
    ],
    ['cofferdam.toml', 'config = "x"', 'config cannot be set in a file (cofferdam.toml:1)'],
  ])('%s with an unknown key %j', async (name, text, failure) => {
    expect(await fail(name, text)).toContain(`COF_UNKNOWN_SETTING ${failure}`);
  });

  it('says where a bad value is', async () => {
    expect(await fail('cofferdam.json', '{\n "gate": 1,\n "maxMemory": 512\n}')).toBe(
      'COF_BAD_VALUE maxMemory must be a size with its unit, or off, not the bare number 512 ' +
        '(cofferdam.json:3) | Write it as a text with its unit, for example "512MiB".',
    );
  });

  it('takes one key in two spellings for a contradiction', async () => {
    const text = '{"maxAge": "1h", "max-age": "2h"}';
    expect(await fail('cofferdam.json', text)).toContain(
      'COF_CONFLICT maxAge and max-age are the same setting',
    );
  });
});

describe('camelCase', () => {
  it('is the same key in .json and .mjs', async () => {
    const json = folderWith({ 'cofferdam.json': '{"maxAge": "1h"}' });
    const module = folderWith({
      'cofferdam.mjs': 'export default { maxAge: "1h", gate: undefined };',
    });
    for (const cwd of [json, module]) {
      expect((await configOf(['a'], {}, cwd)).settings).toMatchObject({
        maxAgeMs: 3_600_000,
        gate: 1,
      });
    }
  });
});

describe('findJsonPositions', () => {
  it('agrees with JSON.parse on what is valid', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '1',
      '-0.5e3',
      'true',
      'null',
      ' ',
      '\n',
      '"\\n"',
      '01',
      "'",
    ];
    let state = 7;
    const next = (): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return state;
    };
    const texts = Array.from({ length: 20_000 }, () =>
      Array.from({ length: 1 + (next() % 7) }, () => pieces[(next() >> 8) % pieces.length]).join(
        '',
      ),
    );
    let valid = 0;
    for (const text of [...texts, '{"a": [1, {"b": null}], "c": "\\u00e9"}', '"\u0001"']) {
      let isValid = true;
      try {
        JSON.parse(text);
        valid += 1;
      } catch {
        isValid = false;
      }
      expect(findJsonPositions(text).errorIndex === null, JSON.stringify(text)).toBe(isValid);
    }
    expect(valid).toBeGreaterThan(100);
  });

  it('survives a text that is deeper than any configuration', () => {
    expect(findJsonPositions('['.repeat(100_000)).errorIndex).not.toBeNull();
  });
});

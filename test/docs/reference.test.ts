import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { COMMANDS, settingsOf } from '../../src/cli/commands.ts';
import { renderHelp } from '../../src/cli/help.ts';
import { allowsSource, type SettingRow, variableOf } from '../../src/config/setting-row.ts';
import { LEAK_SETTINGS } from '../../src/config/settings-leak.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { SIGNALS } from '../../src/config/signals.ts';
import { ERRORS, EXIT } from '../../src/errors.ts';

const ROOT = new URL('../../', import.meta.url);
const ROWS: readonly SettingRow[] = SETTINGS;

function readPage(name: string): string {
  return readFileSync(new URL(`docs/reference/${name}`, ROOT), 'utf8');
}

describe('docs/reference', () => {
  it('is what the tables say; else run `npm run docs`', () => {
    const { stderr, status } = spawnSync(process.execPath, ['scripts/docs.mjs', '--check'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  });

  it('names every setting, error, exit code and signal', () => {
    const settings = readPage('settings.md');
    for (const { key } of ROWS) expect(settings).toContain(`| \`${key}\``);
    for (const { key } of LEAK_SETTINGS) expect(readPage('leak.md')).toContain(`| \`${key}\``);
    for (const code of Object.keys(ERRORS)) expect(readPage('errors.md')).toContain(code);
    for (const code of Object.values(EXIT))
      expect(readPage('exit-codes.md')).toContain(`| ${code} |`);
    for (const { signal } of SIGNALS) expect(readPage('signals.md')).toContain(signal);
  });

  it('names no variable that is none', () => {
    const known = ROWS.map(({ key }) => variableOf(key));
    for (const [name] of readPage('settings.md').matchAll(/COFFERDAM_[A-Z_]+/g)) {
      expect(known).toContain(name);
    }
  });
});

describe('help', () => {
  const context = { stdout: process.stdout, env: { NO_COLOR: '1' } };
  const plain = {
    ...context,
    stdout: Object.assign(Object.create(process.stdout), { columns: 80 }),
  };

  it('shows every flag, signal and exit code, examples first, in 80 columns', () => {
    for (const command of [null, ...COMMANDS.filter(({ settings }) => settings === 'all')]) {
      const help = renderHelp(command, 'full', plain);
      for (const row of ROWS.filter((candidate) => allowsSource(candidate, 'flag'))) {
        expect(help).toMatch(new RegExp(`--(\\[no-\\])?${row.key}\\b`));
      }
      for (const { signal } of SIGNALS) expect(help).toContain(signal);
      for (const code of Object.values(EXIT)) expect(help).toMatch(new RegExp(`^  ${code} `, 'm'));
      expect(help.indexOf('Examples')).toBeLessThan(help.indexOf('Application'));
      for (const line of help.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    }
  });

  it('shows every command, and for each its own switches', () => {
    const short = renderHelp(null, 'short', plain);
    expect(short.split('\n').length).toBeLessThanOrEqual(23);
    for (const command of COMMANDS) {
      expect(short).toContain(`  ${command.name} `);
      const help = renderHelp(command, 'full', plain);
      expect(help).toContain(command.usage);
      for (const [flag] of command.switches) expect(help).toContain(flag);
      for (const row of settingsOf(command).filter((one) => allowsSource(one, 'flag'))) {
        expect(help).toMatch(new RegExp(`--(\\[no-\\])?${row.key}\\b`));
        expect(help.replaceAll(/\s+/g, ' ')).toContain(row.sentence);
      }
    }
  });
});

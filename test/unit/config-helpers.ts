import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { parseFlags } from '../../src/config/flags.ts';
import { readConfig, type Config } from '../../src/config/load.ts';

/** A folder with these files, gone after the test. */
export function folderWith(files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return folder;
}

/** Flags, environment and files → configuration; nothing of the machine leaks in. */
export function configOf(
  argv: readonly string[],
  env: NodeJS.ProcessEnv = {},
  cwd: string = folderWith(),
): Promise<Config> {
  return readConfig({ flags: parseFlags(argv), env, cwd });
}

/** What a promise or a function fails with: `CODE message | hint`. */
export async function failureOf(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint: string };
    return `${code} ${message} | ${hint}`;
  }
  throw new Error('it did not fail');
}

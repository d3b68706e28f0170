/** Files that a test writes for the app under test; gone when the test is over. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder of its own for the running test. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An app of a few lines; returns its path. */
export function writeApp(code: string, name = 'app.cjs'): string {
  const path = join(scratchFolder(), name);
  writeFileSync(path, code);
  return path;
}

export interface Faults {
  /** For the environment of the echo app. */
  readonly env: { readonly FAULT_FILE: string };
  /** What workers born from now on find: `{ FAIL_BOOT: 1 }`; nothing = a sound app. */
  set(faults?: Readonly<Record<string, string | number>>): void;
}

/** Switches faults of the echo app on and off for later generations. */
export function faultSwitch(): Faults {
  const file = join(scratchFolder(), 'faults');
  const set: Faults['set'] = (faults = {}) =>
    writeFileSync(
      file,
      Object.entries(faults)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    );
  set();
  return { env: { FAULT_FILE: file }, set };
}

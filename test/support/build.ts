import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { buildPage } from '../../scripts/page.mjs';

/**
 * Real-process tests run what users run: the built package. Building here means that nobody tests
 * yesterday's `dist` by mistake; it takes a third of a second.
 */
export function setup(): void {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
  buildPage();
}

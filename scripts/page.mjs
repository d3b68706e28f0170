/**
 * Builds the live page into dist: its script by a TypeScript of its own (it lives in a browser, not
 * in Node), and the files that are as they are. Run by whatever builds `dist`.
 */
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCE = join(ROOT, 'src/dashboard/client');
const TARGET = join(ROOT, 'dist/dashboard/client');
const UPLOT = join(ROOT, 'node_modules/uplot');

/** Throws with the compiler's words when the page's script has an error. */
export function buildPage() {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', SOURCE], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`tsc -p src/dashboard/client\n${stdout}`);
  for (const name of ['page.html', 'style.css', 'icon.svg']) copy(join(SOURCE, name), name);
  copy(join(UPLOT, 'dist/uPlot.iife.min.js'), 'uPlot.iife.min.js');
  copy(join(UPLOT, 'dist/uPlot.min.css'), 'uPlot.min.css');
  // Its licence asks to be where its code is.
  copy(join(UPLOT, 'LICENSE'), 'uPlot.LICENSE');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildPage();

// --- internal ---

function copy(from, name) {
  cpSync(from, join(TARGET, name));
}

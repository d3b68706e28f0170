/**
 * speedscope opens what `cofferdam leak --pprof` writes: the one from npm, in Chromium.
 *
 *   npm run build && node test/leak-packages/speedscope.mjs
 *
 * Needs an npm registry, so it is no part of `npm test`; there, Go's own pprof reads the file.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { openBrowser } from '../../scripts/browser.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const VERSION = '1.25.0';
const APP = join(ROOT, 'test/leak-corpus/apps/string-slice.cjs');
/** The function of that app that allocates what stays. */
const GUILTY = 'title';
const WAIT_MS = 30_000;

const folder = mkdtempSync(join(tmpdir(), 'cofferdam-speedscope-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', `speedscope@${VERSION}`], 0);
const profile = join(folder, 'heap.pb.gz');
const quick = ['--requests', '1000', '--batch', '40', '--rate', '200', '--rest', 'off'];
const cli = join(ROOT, 'dist/cli/main.js');
run(process.execPath, [cli, 'leak', APP, '--no-report', '--pprof', profile, ...quick], 1);

const browser = await openBrowser();
try {
  const page = await browser.newPage();
  const index = join(folder, 'node_modules/speedscope/dist/release/index.html');
  await page.goto(pathToFileURL(index).href);
  await page.setInputFiles('input[type=file]', profile);
  // Its flame graph is a picture; the view called Sandwich is a table.
  await page.getByText('Sandwich').click({ timeout: WAIT_MS });
  await page.getByRole('cell', { name: GUILTY }).first().waitFor({ timeout: WAIT_MS });
  console.log(`speedscope ${VERSION} shows \`${GUILTY}\` in ${await page.title()}`);
} finally {
  await browser.close();
}

function run(command, args, expected) {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === expected) return;
  throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr.slice(-500)}`);
}

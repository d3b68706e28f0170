/**
 * Makes the pictures of docs/guide: the real page in a real Chromium, in front of a scene, and the
 * report of a real run of `cofferdam leak`.
 *
 *   node scripts/screenshots.mjs [page|leak]     needs dist/ and /usr/bin/chromium (Debian: chromium)
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openBrowser } from './browser.mjs';
import { openScene } from './scene.mjs';

const FOLDER = fileURLToPath(new URL('../docs/images/', import.meta.url));

const SHOTS = [
  { name: 'page-light', width: 1440, height: 1000, colorScheme: 'light' },
  { name: 'page-hour', width: 1440, height: 1000, colorScheme: 'dark', window: '60', open: 1 },
  { name: 'page-phone', width: 360, height: 800, colorScheme: 'light' },
];

const [only] = process.argv.slice(2);
const browser = await openBrowser();
try {
  mkdirSync(FOLDER, { recursive: true });
  if (only !== 'leak') await takePage();
  if (only !== 'page') await takeReport();
} finally {
  await browser.close();
}
process.exit();

// --- internal ---

async function takePage() {
  const scene = await openScene();
  try {
    for (const shot of SHOTS) await take(scene, shot);
  } finally {
    await scene.close();
  }
}

/** The fixture in TypeScript, under a path that a reader may take for his own. */
async function takeReport() {
  const shop = join(tmpdir(), 'shop');
  const from = (relative) => fileURLToPath(new URL(relative, import.meta.url));
  cpSync(from('../test/leak/fixtures/typescript'), shop, { recursive: true });
  try {
    const args = [from('../dist/cli/main.js'), 'leak', 'built/server.js'];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: shop, encoding: 'utf8' });
    if (status !== 1) throw new Error(`no leak was found: ${stderr}`);
    const page = await browser.newPage({ viewport: { width: 1000, height: 800 } });
    await page.goto(`file://${join(shop, 'leak.html')}`);
    // Down to the suspects: what follows is tables.
    const end = await page.getByText('What was ruled out').boundingBox();
    const clip = { x: 0, y: 0, width: 1000, height: Math.ceil(end.y) };
    await page.screenshot({ path: join(FOLDER, 'leak-report.png'), fullPage: true, clip });
  } finally {
    rmSync(shop, { recursive: true, force: true });
  }
}

async function take(scene, { name, width, height, colorScheme, window, open }) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  page.on('console', (message) => console.error(`${name}: ${message.text()}`));
  page.on('pageerror', (error) => console.error(`${name}: ${error.stack}`));
  await page.goto(scene.url);
  await page.locator('#memory canvas').waitFor();
  if (window) await page.locator(`#window [value="${window}"]`).check({ force: true });
  if (open)
    await page
      .locator('.card button')
      .nth(open - 1)
      .click();
  // One more second of the scene: what was chosen is drawn with the next sample at the latest.
  await page.waitForTimeout(1200);
  await page.screenshot({ path: join(FOLDER, `${name}.png`), fullPage: true });
  await page.close();
}

/**
 * Makes the pictures of docs/guide/page.md: the real page in a real Chromium, in front of a scene.
 *
 *   node scripts/screenshots.mjs       needs dist/ and /usr/bin/chromium (Debian: chromium)
 */
import { mkdirSync } from 'node:fs';
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

const scene = await openScene();
const browser = await openBrowser();
try {
  mkdirSync(FOLDER, { recursive: true });
  for (const shot of SHOTS) await take(shot);
} finally {
  await browser.close();
  await scene.close();
}
process.exit();

// --- internal ---

async function take({ name, width, height, colorScheme, window, open }) {
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

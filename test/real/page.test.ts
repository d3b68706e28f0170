/** The live page in a real headless Chromium, in front of a scene and of a real pool. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openBrowser } from '../../scripts/browser.mjs';
import { spawnCofferdam } from '../support/cofferdam.ts';
import { opsUrl } from '../support/ops.ts';
import { ECHO_APP, freePort } from '../support/processes.ts';
import { lacks } from '../support/tools.ts';

interface Shown {
  readonly atMs: number;
  readonly seenMs: number;
  readonly text: string;
}

/** A page on a machine that does ten other things; reached only when the test fails. */
const PATIENCE_MS = 20_000;

describe.skipIf(lacks('chromium'))('the live page', { timeout: 60_000 }, () => {
  let browser: Browser;
  let scene: { readonly child: ChildProcess; readonly url: string };
  const complaints: string[] = [];

  beforeAll(async () => {
    browser = await openBrowser();
    scene = await startScene(await freePort());
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    scene.child.kill('SIGKILL');
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    expect(complaints.splice(0)).toEqual([]);
  });

  /** Every error and every breach of the policy, in any test, fails it. */
  async function visit(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
    page.on('console', (message) => {
      // A server that is down is told of by the browser, whatever the page does.
      const isExpected = /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY/.test(message.text());
      const isBad = message.type() === 'error' || message.type() === 'warning';
      if (isBad && !isExpected) complaints.push(`console: ${message.text()}`);
    });
    await page.exposeFunction('complain', (text: string) => complaints.push(text));
    await page.addInitScript({ path: 'test/support/in-page.js' });
    await page.goto(url);
    return page;
  }

  async function visitLive(options: BrowserContextOptions = {}): Promise<Page> {
    const page = await visit(scene.url, options);
    await page.locator('#memory canvas').waitFor();
    return page;
  }

  test('loads, draws, and goes on by itself', async () => {
    const page = await visitLive();
    expect(await page.title()).toBe('shop · Cofferdam');
    expect(await page.locator('#link').textContent()).toBe('● live');
    expect(await page.locator('.card').count()).toBe(4);
    expect(await page.locator('canvas').count()).toBe(8);
    expect(await page.locator('#events li').count()).toBeGreaterThan(50);
    expect(await page.evaluate<number>('probe.ink()')).toBeGreaterThan(500);
    const before = await page.locator('#tree .plot').getAttribute('aria-label');
    expect(before).toMatch(/Whole tree \d+ MiB.*budget 1\.00 GiB/);
    const label = (): Promise<string | null> =>
      page.locator('#tree .plot').getAttribute('aria-label');
    await expect.poll(label, { timeout: PATIENCE_MS }).not.toBe(before);
  });

  test('shows a recycle of a real pool within two seconds', async () => {
    const flags = ['--workers', '2', '--ops', '127.0.0.1:0'];
    const cofferdam = await spawnCofferdam([ECHO_APP, ...flags]);
    try {
      const ops = await opsUrl(cofferdam);
      await cofferdam.waitForTold('all_ready');
      const page = await visit(ops);
      await page.locator('.card[data-state="ready"]').nth(1).waitFor();
      const shown = page.evaluate<Shown>("probe.waitForEvent('recycled')");
      cofferdam.signal('SIGUSR2');
      const { atMs, seenMs, text } = await shown;
      expect(seenMs - atMs).toBeLessThan(2000);
      expect(text).toMatch(/Slot \d recycled.*by hand \(manual\).*nothing lost/);
      await page.locator('#memory .signs', { hasText: 'by hand' }).waitFor();
      await page.locator('#reasons', { hasText: 'by hand' }).waitFor();
      await fetch(cofferdam.url).then((response) => response.text());
      await page.locator('#latency canvas').waitFor();
    } finally {
      await cofferdam.stop();
    }
  });

  test('comes back after a restart of the server, and keeps what it has seen', async () => {
    const port = await freePort();
    let own = await startScene(port, 30);
    try {
      const page = await visit(own.url);
      await page.locator('[data-link="live"] #memory canvas').waitFor();
      own.child.kill('SIGKILL');
      await page.locator('[data-link="lost"]').waitFor({ state: 'attached' });
      expect(await page.locator('#link').textContent()).toContain('trying again');
      expect(await page.locator('#memory canvas').isVisible()).toBe(true);
      own = await startScene(port, 1);
      await page.locator('[data-link="live"]').waitFor({ state: 'attached' });
      await page.locator('#instance', { hasText: /up \d s/ }).waitFor();
      // Home is the oldest point: it is of the first server, which is half a minute older.
      await page.locator('#memory .plot').focus();
      await page.keyboard.press('Home');
      const oldest = await page.locator('#memory .readout').textContent();
      await page.keyboard.press('End');
      const newest = await page.locator('#memory .readout').textContent();
      expect(secondsBetween(oldest, newest)).toBeGreaterThan(20);
    } finally {
      own.child.kill('SIGKILL');
    }
  });

  test.each([360, 768, 1280, 3840])('%i px wide: nothing sticks out', async (width) => {
    const page = await visitLive({ viewport: { width, height: Math.round(width * 0.6) + 300 } });
    await page.locator('.card button').first().click();
    await page.locator('.card dl').first().waitFor();
    expect(await page.evaluate<string[]>('probe.outside()')).toEqual([]);
  });

  test.each(['light', 'dark'] as const)('%s: every text can be read', async (colorScheme) => {
    const page = await visitLive({ colorScheme });
    const ground = await page.evaluate<string>("probe.style('backgroundColor')");
    const isDark = /rgb\((\d+)/.exec(ground)?.[1];
    expect(Number(isDark) < 128).toBe(colorScheme === 'dark');
    expect(await page.evaluate<string[]>('probe.weakTexts()')).toEqual([]);
  });

  test('colors can be chosen against the system, and stay chosen', async () => {
    const page = await visitLive({ colorScheme: 'light' });
    const scheme = (): Promise<string> => page.evaluate<string>("probe.style('colorScheme')");
    await page.locator('#theme input[value=auto]').focus();
    await page.keyboard.press('ArrowLeft');
    expect(await scheme()).toBe('dark');
    await page.reload();
    await page.locator('#memory canvas').waitFor();
    expect(await scheme()).toBe('dark');
  });

  test('everything can be reached and used by keyboard', async () => {
    const page = await visitLive();
    const reached = new Set<string>();
    for (let step = 0; step < 30 && !reached.has('events'); step += 1) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate<string>('probe.focused()'));
    }
    expect([...reached]).toEqual(
      expect.arrayContaining(['skip', 'window', 'theme', 'plot', 'events']),
    );
    await page.locator('.card button').nth(1).focus();
    await page.keyboard.press('Enter');
    await page.locator('.card[data-open] dl', { hasText: 'Generation' }).waitFor();
    await page.locator('#memory .plot').focus();
    await page.keyboard.press('ArrowLeft');
    expect(await page.locator('#memory .readout').textContent()).toMatch(/^\d\d:\d\d:\d\d$/);
    await page.keyboard.press('Tab');
    expect(await page.locator('#memory .readout').textContent()).toBe('now');
  });

  test('shows five minutes, and an hour back', async () => {
    const page = await visitLive();
    const spanSeconds = async (): Promise<number> => {
      await page.locator('#memory .plot').focus();
      await page.keyboard.press('Home');
      const oldest = await page.locator('#memory .readout').textContent();
      await page.keyboard.press('End');
      return secondsBetween(oldest, await page.locator('#memory .readout').textContent());
    };
    expect(await spanSeconds()).toBeLessThan(310);
    await page.locator('#window input[value="5"]').focus();
    await page.keyboard.press('ArrowLeft');
    await expect.poll(spanSeconds, { timeout: PATIENCE_MS }).toBeGreaterThan(3500);
  });

  test('without color there are still signs and words', async () => {
    const page = await visitLive({ forcedColors: 'active' });
    const texts = (selector: string): Promise<string[]> => page.locator(selector).allTextContents();
    const states = await texts('.card .state');
    expect(states).toHaveLength(4);
    for (const state of states) expect(state).toMatch(/^[^\w\s] [a-z ]+$/);
    const reasons = await texts('#memory .signs li');
    expect(reasons.length).toBeGreaterThan(1);
    for (const reason of reasons) expect(reason).toMatch(/^[A-Z×!][a-z ]+$/);
    // Each line is named, and drawn whatever the system makes of colors.
    expect(await texts('#memory .lines li')).toHaveLength(4);
    expect(await page.evaluate<number>('probe.ink()')).toBeGreaterThan(500);
  });

  test('nothing moves for those who asked for that', async () => {
    const duration = (page: Page): Promise<string> =>
      page.evaluate<string>("probe.style('transitionDuration', '.bar i')");
    expect(await duration(await visitLive())).not.toBe('0s');
    expect(await duration(await visitLive({ reducedMotion: 'reduce' }))).toBe('0s');
  });

  test('without scripts there is a table', async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(scene.url);
    expect(await page.locator('caption').textContent()).toMatch(/^shop: running; \d+/);
    expect(await page.locator('tbody tr').count()).toBeGreaterThanOrEqual(4);
    expect(await page.locator('#page').isVisible()).toBe(false);
  });
});

// --- internal ---

/** A process of its own, because it has a clock of its own. */
async function startScene(
  port: number,
  seconds = 3600,
): Promise<{ child: ChildProcess; url: string }> {
  const args = ['--no-warnings', 'scripts/scene.mjs', String(port), String(seconds)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const died = once(child, 'exit').then(() => Promise.reject(new Error('the scene died')));
  const [url] = (await Promise.race([once(child.stdout, 'data'), died])) as [Buffer];
  died.catch(() => {});
  return { child, url: url.toString().trim() };
}

function secondsBetween(from: string | null, to: string | null): number {
  const seconds = (text: string | null): number => {
    const [hours = 0, minutes = 0, rest = 0] = (text ?? '').split(':').map(Number);
    return hours * 3600 + minutes * 60 + rest;
  };
  return (seconds(to) - seconds(from) + 86_400) % 86_400;
}

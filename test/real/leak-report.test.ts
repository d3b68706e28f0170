/** The report's page in a real headless Chromium that runs no script and has no network. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBrowser } from '../../scripts/browser.mjs';
import type { Outcome } from '../../src/leak/experiment.ts';
import { buildReport } from '../../src/leak/report.ts';
import { renderHtml } from '../../src/leak/report-html.ts';
import { judge } from '../../src/leak/verdict.ts';
import { NOISE_BYTES, seriesOf } from '../leak/synthetic.ts';
import { scratchFolder } from '../support/scratch.ts';
import { lacks } from '../support/tools.ts';

const LEAK = { name: 'leak', truth: 500, heap: (requests: number) => 500 * requests };

/** As they come from bundled code. */
const LONG_NAME = 'function ServerResponse.prototype.writeHeadWithTracing';

/** Names that would be markup if anything forgot to escape them. */
const outcome = (): Outcome => {
  const options = { batch: 400, noise: NOISE_BYTES[24], seed: 7 };
  const warm = seriesOf(LEAK, { ...options, count: 10, phase: 'warm-up' });
  const load = seriesOf(LEAK, { ...options, count: 60, phase: 'load' });
  const [begin] = [warm.at(-1)!];
  const samples = [
    ...warm,
    ...load.map((sample) => ({
      ...sample,
      requests: sample.requests + begin.requests,
      atMs: sample.atMs + begin.atMs,
    })),
  ];
  return {
    samples,
    verdict: judge(samples, { thorough: false, final: true, died: false }),
    culprit: {
      suspects: [
        {
          name: 'sessions',
          holderClass: 'Map',
          path: ['TCPServerWrap', 'Server', 'request', 'sessions'],
          reachedFrom: { name: 'remember', file: '/srv/shop/store.ts', line: 5, column: 1 },
          changedAt: [{ file: '/srv/shop/store.ts', line: 7, text: 'sessions.set("<b>", visit);' }],
          bytes: 199_000,
          bytesPerRequest: 500,
          kin: [
            { className: 'Session', count: 398, bytes: 19_104, perRequest: 1 },
            { className: LONG_NAME, count: 1592, bytes: 180_504, perRequest: 4 },
          ],
          places: [],
          shape: null,
          explanation: null,
        },
      ],
      allocations: [
        { name: 'visit', file: '/srv/shop/visit.ts', line: 3, bytes: 1e6, bytesPerRequest: 480 },
      ],
      sites: [],
      descriptors: [],
      notes: [],
      profile: null,
    },
    death: null,
    stopped: null,
    url: 'http://127.0.0.1:3000',
    asked: ['GET /'],
    connections: 20,
    node: 'v24.21.0',
    unique: true,
    ratePerSecond: 500,
    requests: 28_000,
    failures: {},
    latency: { p50Ms: 1, p99Ms: 4 },
    elapsedMs: 56_000,
  };
};

describe.skipIf(lacks('chromium'))('leak.html', { timeout: 60_000 }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  }, 60_000);
  afterAll(() => browser.close());

  test.each([
    [1100, 'light'],
    [1100, 'dark'],
    [400, 'light'],
    [360, 'light'],
  ] as const)('%i px, %s: no script, nothing from elsewhere, nothing cut off', async (...view) => {
    const [width, colorScheme] = view;
    const page = await open(width, colorScheme);
    expect(await page.locator('h1').textContent()).toMatch(
      /^Leak of JavaScript heap: 50\d B per request .*held by sessions \(Map\), changed at store\.ts:7/,
    );
    const suspect = page.locator('section', { hasText: 'The suspects' });
    expect(await suspect.textContent()).toContain('sessions.set("<b>", visit);');
    expect(await suspect.textContent()).toContain('/srv/shop/store.ts:7');
    expect(await page.locator('section', { hasText: 'ruled out' }).textContent()).toContain(
      'external buffers: does not grow',
    );
    const facts = await page.locator('.facts').textContent();
    expect(facts).toContain('http://127.0.0.1:3000');
    expect(facts).toContain('GET /');
    const table = page.locator('li .scroll');
    const [inner, outer] = await table.evaluate((box) => [box.scrollWidth, box.clientWidth]);
    expect(inner).toBe(outer);
    expect(await page.locator('pre').last().textContent()).toBe('cofferdam leak shop.ts');
    // The dashed line that was fitted lies on the curve's second half, and both are in sight.
    const curve = await page.locator('svg polyline').first().boundingBox();
    const fit = await page.locator('svg polyline[stroke-dasharray]').boundingBox();
    expect(curve!.width).toBeGreaterThan(250);
    expect(fit!.y).toBeLessThan(curve!.y + curve!.height / 2);
    expect(fit!.x + fit!.width).toBeCloseTo(curve!.x + curve!.width, -1);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    const colors = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(colors).toBe(colorScheme === 'dark' ? 'rgb(18, 24, 31)' : 'rgb(255, 255, 255)');
    await page.context().close();
  });

  async function open(width: number, colorScheme: 'light' | 'dark') {
    const report = buildReport(outcome(), {
      app: '/srv/shop/shop.ts',
      command: 'cofferdam leak shop.ts',
      at: new Date(0),
      limitBytes: 512 * 2 ** 20,
      trafficPerSecond: 50,
    });
    const file = join(scratchFolder(), 'leak.html');
    writeFileSync(file, renderHtml(report));
    const context = await browser.newContext({
      viewport: { width, height: 800 },
      colorScheme,
      javaScriptEnabled: false,
    });
    const asked: string[] = [];
    context.on('request', (request) => asked.push(request.url()));
    const page = await context.newPage();
    await page.goto(pathToFileURL(file).href, { waitUntil: 'load' });
    expect(asked).toEqual([pathToFileURL(file).href]);
    return page;
  }
});

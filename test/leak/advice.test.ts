/** The arithmetic of the advice: what a slope means for a machine, and which recycling would hold. */
import { expect, test } from 'vitest';
import type { Outcome } from '../../src/leak/experiment.ts';
import { OPEN } from '../../src/leak/finding.ts';
import { buildReport } from '../../src/leak/report.ts';
import type { Report } from '../../src/leak/report.ts';
import { renderText } from '../../src/leak/report-text.ts';
import type { Finding, Rate, Verdict } from '../../src/leak/verdict.ts';
import type { Sample, Signal } from '../../src/leak/series.ts';

const MIB = 2 ** 20;

function advise(signal: Signal, rate: Rate, trafficPerSecond = 50): readonly string[] {
  return reportOf({ ...OPEN, kind: 'leak', signal, rate }, trafficPerSecond).advice;
}

function reportOf(verdict: Verdict, trafficPerSecond = 50): Report {
  const first = { phase: 'load', anonBytes: 112 * MIB, rssBytes: 150 * MIB, descriptors: 24 };
  const outcome: Outcome = {
    verdict,
    samples: [first as Sample],
    culprit: null,
    death: null,
    stopped: null,
    url: 'http://127.0.0.1:3000',
    asked: ['GET /'],
    connections: 20,
    node: 'v0',
    unique: true,
    ratePerSecond: 1000,
    requests: 1000,
    failures: {},
    latency: { p50Ms: 1, p99Ms: 1 },
    elapsedMs: 1000,
  };
  const at = new Date(0);
  const limitBytes = 512 * MIB;
  return buildReport(outcome, { app: 'a', command: '', at, limitBytes, trafficPerSecond });
}

test('bytes per request: growth a day, time to the limit, requests that fit', () => {
  // 400 MiB of room: 419 430 B a second fill it in 1000 s; 80 % of it hold 40 000 requests.
  const slope = (400 * MIB) / 50_000;
  expect(advise('heap', { slope, low: slope, high: slope, per: 'request' })).toEqual([
    'At 50 requests/s that is 36.2 GB a day; a limit of 512 MiB lasts 17 min.',
    'Until it is mended, `cofferdam serve --max-requests 40000` would hold.',
  ]);
});

test('the recycling holds for the upper end of the interval, at any traffic', () => {
  const rate: Rate = { slope: 8000, low: 7000, high: 10_000, per: 'request' };
  const [quick, same] = [advise('heap', rate, 500), advise('heap', rate, 5)];
  // 400 MiB × 0.8 / 10 000 B = 33 554, rounded down to two digits.
  for (const lines of [quick, same]) expect(lines[1]).toContain('--max-requests 33000`');
  expect(quick[0]).toContain('lasts 2 min');
});

test('descriptors meet their own limit; idle growth knows no requests', () => {
  const one: Rate = { slope: 1, low: 1, high: 1, per: 'request' };
  // 1024 − 24 are free.
  expect(advise('descriptors', one)).toEqual([
    'At 50 requests/s that is 4\u2009320\u2009000 file descriptors a day; the usual limit of 1024 lasts 20 s.',
    'Until it is mended, `cofferdam serve --max-requests 800` would hold.',
  ]);
  const idle: Rate = { slope: 100_000, low: 90_000, high: 110_000, per: 'second' };
  expect(advise('heap', idle)).toEqual([
    'Idle or not that is 8.6 GB a day; a limit of 512 MiB lasts 70 min.',
  ]);
});

test('what was ruled out has a heading only where something was', () => {
  const flat: Finding = { signal: 'external', looks: [], visible: 64, state: 'flat' };
  const text = (findings: Finding[]) =>
    renderText(reportOf({ ...OPEN, findings, because: 'too few' }), (_, word) => word, '/');
  expect(text([])).not.toContain('Ruled out');
  expect(text([flat])).toContain(
    'Ruled out\n  external buffers: does not grow; 64 B per request would have been seen\n',
  );
});

/** Counters survive their workers; slopes tell growth from noise. */
import { describe, expect, test } from 'vitest';
import { createLedger, type Said } from '../../src/metrics/ledger.ts';
import { createSlope } from '../../src/metrics/slope.ts';
import { NO_REPORT } from './control-kit.ts';

function said(requests: number, inFlight = 0, longLived = 0): Said {
  return {
    report: { ...NO_REPORT, requests, inFlight, longLived },
    measures: {
      answers: [0, requests, 0, 0, 0, 0],
      durations: [requests, ...Array.from({ length: 14 }, () => 0)],
      durationSumMs: requests * 2,
      minorGcMs: requests,
      majorGcMs: 0,
      externalBytes: 7,
      eventLoopLagMs: 3,
    },
  };
}

describe('ledger', () => {
  test('adds up what worker after worker counted in one slot', () => {
    const ledger = createLedger();
    ledger.heard(1, 0);
    ledger.report(1, 1, said(10), 1000);
    ledger.report(1, 1, said(15), 2000);
    ledger.gone(1);
    ledger.report(2, 1, said(4), 3000);
    ledger.report(3, 2, said(100), 3000);
    expect(ledger.requestsOf(1)).toBe(19);
    expect(ledger.requestsOf(2)).toBe(100);
    const { answers, durations, durationSumMs, minorGcMs } = ledger.counters();
    expect(answers[1]).toBe(119);
    expect(durations[0]).toBe(119);
    expect({ durationSumMs, minorGcMs }).toEqual({ durationSumMs: 238, minorGcMs: 119 });
  });

  test('counts what a KILL takes along once, and not what was drained', () => {
    const ledger = createLedger();
    ledger.report(1, 1, said(5, 3, 1), 0);
    ledger.killed(1);
    ledger.killed(1);
    ledger.report(2, 1, said(5, 3, 1), 0);
    ledger.drained(2, { moved: 0, cutRequests: 1, cutLongLived: 1 });
    ledger.killed(2);
    expect(ledger.counters().dropped).toEqual({ crash: 0, deadline: 1, handover: 0, killed: 2 });
    expect(ledger.counters().cutLongLived).toBe(1);
  });

  test('remembers the worst lag until a scraper has seen it', () => {
    const ledger = createLedger();
    const lag = (ms: number): Said => {
      const { report, measures } = said(1);
      return { report, measures: { ...measures, eventLoopLagMs: ms } };
    };
    ledger.report(1, 1, lag(900), 1000);
    ledger.report(1, 1, lag(5), 15_900);
    expect(ledger.bookOf(1)?.eventLoopLagMs).toBe(900);
    ledger.report(1, 1, lag(7), 16_900);
    expect(ledger.bookOf(1)?.eventLoopLagMs).toBe(7);
  });

  test('makes progress while requests are answered or none waits', () => {
    const ledger = createLedger();
    ledger.report(1, 1, said(1, 1), 1000);
    ledger.report(1, 1, said(1, 1), 2000);
    expect(ledger.progressAt()).toBe(1000);
    ledger.report(1, 1, said(1, 0), 3000);
    expect(ledger.progressAt()).toBe(3000);
    ledger.told({ event: 'suspended', gapMs: 60_000 }, 90_000);
    expect(ledger.progressAt()).toBe(90_000);
    expect(ledger.bookOf(1)?.reportedAt).toBe(90_000);
  });
});

describe('slope', () => {
  test('finds the growth under a sawtooth', () => {
    const slope = createSlope();
    for (let second = 0; second < 60; second += 1) {
      slope.add(second * 1000, 1e8 + second * 50_000 + (second % 6) * 40_000);
    }
    expect(slope.perSecond()).toBeGreaterThan(45_000);
    expect(slope.perSecond()).toBeLessThan(55_000);
  });

  test('says nothing before it knows, and forgets what is long ago', () => {
    const slope = createSlope();
    slope.add(0, 0);
    slope.add(1000, 1e9);
    expect(slope.perSecond()).toBe(0);
    for (let second = 2; second < 200; second += 1) slope.add(second * 1000, 5);
    expect(slope.perSecond()).toBeCloseTo(0);
  });
});

/** What stays at rest, and what requests that never overlap show, against what the load showed. */
import { describe, expect, test } from 'vitest';
import type { Phase, Sample } from '../../src/leak/series.ts';
import { needsSecondLoad } from '../../src/leak/resting.ts';
import { needsMoreSlow, SLOW_SAMPLES } from '../../src/leak/slow.ts';
import { judge } from '../../src/leak/verdict.ts';
import { gaussian, sampleOf, seeded } from './synthetic.ts';

const FINAL = { thorough: false, final: true, died: false };
const BATCH = 400;
const SEEDS = 40;

/** An app: what stays after so many requests, and what floats above it while it is busy. */
interface App {
  readonly kept: (requests: number) => number;
  readonly floating?: (requests: number) => number;
  /** What floats does so evenly. */
  readonly isCalm?: boolean;
  /** By connection, and each time that it goes from idle to busy. */
  readonly perConnection?: number;
  readonly perIdle?: number;
}

/** Plays an app through the phases of a run, as far as `phases` says. */
function play(app: App, seed: number, phases: readonly Phase[]): Sample[] {
  const random = seeded(seed);
  const samples: Sample[] = [];
  let requests = 0;
  let slow = 0;
  let wave = 0;
  const take = (phase: Phase, isBusy: boolean): void => {
    wave = app.isCalm === true ? 0 : 0.8 * wave + 0.15 * gaussian(random);
    const floating = isBusy ? (app.floating?.(requests) ?? 0) * Math.max(0, 1 + wave) : 0;
    const heap = 8e6 + app.kept(requests) + slow + floating + 10e3 * gaussian(random);
    samples.push(sampleOf(requests, Math.round(heap), phase));
  };
  take('warm-up', false);
  for (const phase of phases) {
    for (let i = 0; i < COUNTS[phase]; i++) {
      if (phase.startsWith('rest')) take(phase, false);
      else if (phase === 'load' || phase === 'load again') {
        requests += BATCH;
        take(phase, true);
      } else {
        requests += 40;
        slow += 40 * (app.perIdle ?? 0);
        if (phase === 'new connections') slow += 40 * (app.perConnection ?? 0);
        take(phase, false);
      }
    }
  }
  return samples;
}

const COUNTS: Readonly<Record<Phase, number>> = {
  'warm-up': 1,
  'rest before': 5,
  load: 80,
  rest: 10,
  'load again': 80,
  'rest again': 5,
  identical: 0,
  'one at a time': SLOW_SAMPLES,
  'new connections': SLOW_SAMPLES,
};

const ONCE = ['rest before', 'load', 'rest'] as const;
const TWICE = [...ONCE, 'load again', 'rest again'] as const;

function kindsOf(app: App, phases: readonly Phase[]): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { kind } = judge(play(app, seed, phases), FINAL);
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

describe('a leak below work that ends late', () => {
  const app: App = { kept: (requests) => 70 * requests, floating: () => 3e6 };

  test('is never called none by the first load', () => {
    expect(Object.keys(kindsOf(app, ONCE)).sort()).not.toContain('bounded cache');
    expect(Object.keys(kindsOf(app, ONCE)).sort()).not.toContain('no leak');
  });

  test('is a leak after the second one, with its rate in the interval', () => {
    expect(kindsOf(app, TWICE)).toEqual({ leak: SEEDS });
    const { rate } = judge(play(app, 1, TWICE), FINAL);
    expect(rate?.low).toBeLessThan(70);
    expect(rate?.high).toBeGreaterThan(70);
  });

  test('without a leak it is none, and takes no second load', () => {
    const healthy: App = { ...app, kept: () => 0 };
    expect(kindsOf(healthy, ONCE)['leak']).toBeUndefined();
    const samples = play(healthy, 1, ONCE);
    expect(needsSecondLoad(judge(samples, FINAL), samples, FINAL)).toBe(false);
  });
});

test('a cache that the first load filled is told from a leak by the second', () => {
  const app: App = { kept: (requests) => Math.min(4e6, 300 * requests), floating: () => 3e6 };
  const once = play(app, 1, ONCE);
  expect(needsSecondLoad(judge(once, FINAL), once, FINAL)).toBe(true);
  expect(kindsOf(app, TWICE)).toEqual({ 'bounded cache': SEEDS });
});

test('what grows in a straight line and is gone at rest is no leak', () => {
  const app: App = { kept: () => 0, floating: (requests) => 200 * requests, isCalm: true };
  const seen = play(app, 1, ONCE);
  expect(judge(seen, FINAL)).toMatchObject({
    kind: 'bounded cache',
    because: expect.stringContaining('nothing of it was left at rest'),
  });
  const unseen = seen.filter(({ phase }) => !phase.startsWith('rest'));
  expect(judge(unseen, FINAL).kind).toBe('leak');
  // A fifth of it stays: that is one.
  const keeps: App = { ...app, kept: (requests) => 40 * requests };
  expect(judge(play(keeps, 1, ONCE), FINAL).kind).toBe('leak');
});

describe('requests that never overlap', () => {
  const phases = [...ONCE, 'one at a time', 'new connections', 'new connections'] as const;

  test('show what a connection costs', () => {
    const samples = play({ kept: () => 0, perConnection: 5000 }, 1, phases);
    const { kind, rate } = judge(samples, FINAL);
    expect({ kind, per: rate?.per }).toEqual({ kind: 'leak', per: 'connection' });
    expect(rate?.low).toBeLessThan(5000);
    expect(rate?.high).toBeGreaterThan(5000);
  });

  test('show what each change from idle to busy costs', () => {
    const idle = [...ONCE, 'one at a time', 'one at a time', 'new connections'] as const;
    const { kind, rate } = judge(play({ kept: () => 0, perIdle: 5000 }, 1, idle), FINAL);
    expect({ kind, per: rate?.per }).toEqual({ kind: 'leak', per: 'request to an idle app' });
  });

  test('a single look is not enough where the load saw no leak', () => {
    const short = [...ONCE, 'one at a time', 'new connections'] as const;
    const samples = play({ kept: () => 0, perConnection: 5000 }, 1, short);
    expect(judge(samples, FINAL).kind).not.toBe('leak');
    const before = judge(play({ kept: () => 0 }, 1, ONCE), FINAL);
    expect(needsMoreSlow('new connections', before, samples, FINAL)).toBe(true);
  });

  test('a leak per request stays one', () => {
    const { rate } = judge(play({ kept: (requests) => 900 * requests }, 1, phases), FINAL);
    expect(rate?.per).toBe('request');
  });

  test('a healthy app stays healthy', () => {
    const { leak } = kindsOf({ kept: () => 0 }, phases);
    expect(leak).toBeUndefined();
  });
});

import { expect, test } from 'vitest';
import { fitLine } from '../../src/leak/series.ts';
import type { Sample } from '../../src/leak/series.ts';
import { judge } from '../../src/leak/verdict.ts';
import { HEALTHY, LEAKS, NOISE_BYTES, gaussian, sampleOf, seeded, seriesOf } from './synthetic.ts';
import { rate, runLooks } from './verdict-rates.ts';

const SEEDS = 10;
const QUICK = { thorough: false, final: true, died: false };

test.each(Object.entries(NOISE_BYTES))(
  'with the noise of Node %s every leak above the printed limit is found',
  (_, noise) => {
    for (const shape of LEAKS.filter(({ name }) => !name.startsWith('table 100'))) {
      for (const batch of [100, 400]) {
        const rates = rate(shape, { batch, noise, looks: 4, seeds: SEEDS });
        expect.soft(rates.leak, `${shape.name}, batches of ${batch}`).toBeGreaterThan(SEEDS * 0.85);
      }
    }
  },
  120_000,
);

/** They fill or flush over more requests than a slow app is given: nothing could tell them. */
const BEYOND_SLOW_RUNS = ['cache, random keys, 20000', 'LRU, new keys, 5000', 'flush every 4700'];

test.each(Object.entries(NOISE_BYTES))(
  'with the noise of Node %s no healthy shape is called a leak',
  (_, noise) => {
    for (const shape of HEALTHY) {
      for (const batch of BEYOND_SLOW_RUNS.includes(shape.name) ? [400] : [100, 400]) {
        const rates = rate(shape, { batch, noise, looks: 4, seeds: SEEDS });
        expect.soft(rates.leak, `${shape.name}, batches of ${batch}`).toBe(0);
      }
    }
  },
  120_000,
);

test.each(['linear', 'table', 'Map', 'array'])(
  'the interval holds the true slope in 19 of 20 runs: %s',
  (kind) => {
    let covered = 0;
    let runs = 0;
    for (const noise of Object.values(NOISE_BYTES)) {
      for (const shape of LEAKS.filter(({ name }) => name.startsWith(kind))) {
        for (const batch of [150, 400]) {
          const rates = rate(shape, { batch, noise, looks: 4, seeds: SEEDS });
          covered += rates.covered;
          runs += rates.leak;
        }
      }
    }
    expect(runs).toBeGreaterThan(SEEDS);
    expect(covered / runs).toBeGreaterThanOrEqual(0.95);
  },
);

test('ten bytes per request are below the quick floor and above the thorough one', () => {
  const shape = { name: 'ten', truth: 10, heap: (n: number) => 10 * n };
  const quick = runLooks(shape, { batch: 400, noise: 2000, seed: 1, looks: 4 });
  expect(quick.verdict.kind).not.toBe('leak');
  const options = { batch: 2000, noise: 2000, seed: 1, looks: 3, thorough: true };
  const { verdict } = runLooks(shape, options);
  expect(verdict.kind).toBe('leak');
  expect(verdict.rate?.slope).toBeGreaterThan(8);
  expect(verdict.rate?.slope).toBeLessThan(12);
});

test('what is still filling says how fast it was and is', () => {
  const zipf = HEALTHY.find(({ name }) => name === 'cache, random keys, 20000');
  const { verdict } = runLooks(zipf!, { batch: 400, noise: 2000, seed: 3, looks: 2 });
  expect(verdict.kind).toBe('undecided');
  expect(verdict.slowing!.now).toBeLessThan(verdict.slowing!.was);
});

test('too few requests: says how many more are needed', () => {
  const samples = seriesOf(LEAKS[3]!, { count: 20, batch: 100, noise: 2000, seed: 1 });
  const verdict = judge(samples, { ...QUICK, final: false });
  expect(verdict.kind).toBe('undecided');
  expect(verdict.moreRequests).toBeGreaterThan(500);
});

test('descriptors, handles, contexts and native memory are judged by themselves', () => {
  const base = seriesOf(HEALTHY[0]!, { count: 40, batch: 200, noise: 2000, seed: 5 });
  const grow = (change: (sample: Sample) => Partial<Sample>) =>
    judge(
      base.map((sample) => ({ ...sample, ...change(sample) })),
      QUICK,
    );
  const fds = grow((sample) => ({ descriptors: 22 + sample.requests }));
  expect(fds).toMatchObject({ kind: 'leak', signal: 'descriptors' });
  expect(fds.rate?.slope).toBeCloseTo(1, 5);
  const timers = grow((sample) => ({ resources: { Timeout: sample.requests } }));
  expect(timers).toMatchObject({ kind: 'leak', signal: 'handles' });
  const contexts = grow((sample) => ({ nativeContexts: 1 + sample.requests / 2 }));
  expect(contexts).toMatchObject({ kind: 'leak', signal: 'contexts' });
  const native = grow((sample) => ({ nativeInUseBytes: 3e6 + 4096 * sample.requests }));
  expect(native).toMatchObject({ kind: 'leak', signal: 'native' });
  expect(native.rate?.slope).toBeCloseTo(4096, -1);
});

test('buffers weigh more than their wrappers: the verdict names the buffers', () => {
  const base = seriesOf(LEAKS[1]!, { count: 40, batch: 200, noise: 2000, seed: 5 });
  const samples = base.map((one) => ({ ...one, externalBytes: 2e6 + 16_384 * one.requests }));
  expect(judge(samples, QUICK)).toMatchObject({ kind: 'leak', signal: 'external' });
});

test('RSS alone never makes a verdict', () => {
  const base = seriesOf(HEALTHY[0]!, { count: 40, batch: 200, noise: 2000, seed: 5 });
  const samples = base.map((one) => ({
    ...one,
    rssBytes: 5e7 + 6000 * one.requests,
    heapTotalBytes: one.heapTotalBytes + 6000 * one.requests,
    anonBytes: 2e7 + 6000 * one.requests,
  }));
  expect(judge(samples, QUICK).kind).not.toBe('leak');
});

test('growth at rest is a leak per second, and explains the growth under load', () => {
  const load = Array.from({ length: 40 }, (_, i) => ({
    ...sampleOf(i * 200, 8e6 + i * 500 * 100, 'load'),
    atMs: i * 500,
  }));
  const rest = Array.from({ length: 10 }, (_, i) => ({
    ...sampleOf(8000, 10e6 + i * 1e5, 'rest'),
    atMs: 20_000 + i * 1000,
  }));
  const verdict = judge([...load, ...rest], QUICK);
  expect(verdict).toMatchObject({ kind: 'leak', signal: 'heap', rate: { per: 'second' } });
  expect(verdict.rate?.slope).toBeCloseTo(1e5, -3);
});

test('growth with unique URLs only is keyed by the input', () => {
  const load = seriesOf(LEAKS[3]!, { count: 40, batch: 200, noise: 2000, seed: 5 });
  const flat = { count: 12, batch: 200, noise: 2000, seed: 9, phase: 'identical' as const };
  expect(judge([...load, ...seriesOf(HEALTHY[0]!, flat)], QUICK).keyedByInput).toBe(true);
  expect(judge([...load, ...seriesOf(LEAKS[3]!, flat)], QUICK).keyedByInput).toBe(false);
});

test('an app that dies in its warm-up is judged by what was seen', () => {
  const shape = { name: 'fast', truth: 1e6, heap: (n: number) => 1e6 * n };
  const samples = seriesOf(shape, {
    count: 10,
    batch: 20,
    noise: 1e5,
    seed: 1,
    phase: 'warm-up',
  });
  const verdict = judge(samples, { ...QUICK, died: true });
  expect(verdict).toMatchObject({ kind: 'leak', signal: 'heap' });
  const others = verdict.findings.filter(({ signal }) => signal !== 'heap');
  expect(others.map(({ signal, state }) => `${signal} ${state}`)).toEqual([
    'descriptors flat',
    'contexts flat',
    'external flat',
    'native flat',
  ]);
  expect(judge(samples.slice(0, 2), { ...QUICK, died: true }).kind).toBe('undecided');
});

test('calm series are named for what they are', () => {
  const run = (samples: readonly Sample[]) => judge(samples, QUICK).kind;
  const plain = seriesOf(HEALTHY[0]!, { count: 80, batch: 200, noise: 2000, seed: 5 });
  expect(run(plain)).toBe('no leak');
  const saw = plain.map((one) => ({ ...one, heapBeforeBytes: one.heapUsedBytes + 4e7 }));
  expect(run(saw)).toBe('GC sawtooth');
  const lru = HEALTHY.find(({ name }) => name === 'LRU, new keys, 5000');
  expect(run(seriesOf(lru!, { count: 80, batch: 400, noise: 2000, seed: 5 }))).toBe(
    'bounded cache',
  );
  const pinned = plain.map((one, i) => ({
    ...one,
    nativeInUseBytes: 6e6,
    mallocFreeBytes: 1e6 + i * 5e5,
  }));
  expect(run(pinned)).toBe('fragmentation');
  const cold = { ...sampleOf(0, 4e6, 'warm-up') };
  expect(run([cold, ...plain])).toBe('warm-up');
});

test('property: a line through any noise is between its bounds, and shifts with its data', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const slope = 1000 * (random() - 0.5);
    const points = Array.from({ length: 4 + Math.floor(40 * random()) }, (_, i) => ({
      x: i * 100,
      y: slope * i * 100 + 5000 * gaussian(random),
    }));
    const line = fitLine(points, 1.96)!;
    expect(line.low).toBeLessThanOrEqual(line.slope);
    expect(line.high).toBeGreaterThanOrEqual(line.slope);
    const lifted = fitLine(
      points.map(({ x, y }) => ({ x, y: y + 7 * x + 3 })),
      1.96,
    )!;
    expect(lifted.slope).toBeCloseTo(line.slope + 7, 6);
  }
});

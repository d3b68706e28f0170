/** Synthetic series with a known truth: every kind of leak and of innocent growth. */
import type { Phase, Sample } from '../../src/leak/series.ts';

/** A small, seeded generator: the same seed is the same series on every machine. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function gaussian(random: () => number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

export interface Shape {
  readonly name: string;
  /** Bytes of live heap after so many requests. */
  readonly heap: (requests: number, random: () => number) => number;
  /** Bytes per request; 0 when it is no leak. */
  readonly truth: number;
}

/** Standard deviation of the floor, as measured on Node 24, 22 and 20. */
export const NOISE_BYTES = { 24: 2_000, 22: 13_000, 20: 82_000 } as const;

export function seriesOf(
  shape: Shape,
  options: { count: number; batch: number; noise: number; seed: number; phase?: Phase },
): Sample[] {
  const random = seeded(options.seed);
  const samples: Sample[] = [];
  // A cold process: the first requests compile code, whatever the shape.
  for (let i = 0; i < options.count; i++) {
    const requests = i * options.batch;
    const jit = 300_000 * (1 - Math.exp(-(requests + 1500) / 2500));
    const heap = 8e6 + jit + shape.heap(requests, random) + options.noise * gaussian(random);
    samples.push(sampleOf(requests, Math.round(heap), options.phase ?? 'load'));
  }
  return samples;
}

export function sampleOf(requests: number, heapBytes: number, phase: Phase): Sample {
  return {
    requests,
    atMs: requests * 2,
    phase,
    heapBytes,
    heapUsedBytes: heapBytes + 1e6,
    heapTotalBytes: heapBytes + 4e6,
    heapBeforeBytes: heapBytes + 3e6,
    heapLimitBytes: 4e9,
    externalBytes: 2e6,
    arrayBuffersBytes: 1e4,
    mallocedBytes: 1e5,
    nativeContexts: 1,
    detachedContexts: 0,
    descriptors: 22,
    descriptorLimit: 65_536,
    resources: { TCPServerWrap: 1 },
    listeners: 12,
    rssBytes: heapBytes + 5e7,
    anonBytes: heapBytes + 2e7,
    pssBytes: null,
    privateBytes: null,
    nativeInUseBytes: null,
    mallocFreeBytes: null,
  };
}

const linear = (rate: number): Shape => ({
  name: `linear ${rate} B`,
  truth: rate,
  heap: (requests) => rate * requests,
});

/** A hash table of 16 B a place that doubles: 16 B per entry when full, on the whole 16 / ln 2. */
const table = (rate: number): Shape => ({
  name: `table ${rate} B`,
  truth: rate + 16 / Math.LN2,
  heap: (requests) => {
    const capacity = 2 ** Math.ceil(Math.log2(requests + 16));
    return rate * requests + 16 * capacity;
  },
});

/** Requests of the warm-up, which a table counts and a series does not. */
const BEFORE = 1500;

/** V8's own Map: 28 B for each place. */
const map = (rate: number): Shape => ({
  name: `Map ${rate} B`,
  truth: rate + 28 / Math.LN2,
  heap: (requests) => {
    const entries = requests + BEFORE;
    return rate * entries + 28 * 2 ** Math.ceil(Math.log2(entries));
  },
});

/** V8's own array: 8 B for each place, half as many again (and 16) when it is full. */
const array = (rate: number): Shape => ({
  name: `array ${rate} B`,
  truth: rate + 4 / Math.log(1.5),
  heap: (requests) => {
    const entries = requests + BEFORE;
    let capacity = 17;
    while (capacity < entries) capacity += (capacity >> 1) + 16;
    return rate * entries + 8 * capacity;
  },
});

export const LEAKS: readonly Shape[] = [
  ...[64, 130, 500, 1000, 5000, 100_000].map(linear),
  ...[100, 1000].map(table),
  ...[168, 1000].map(map),
  ...[60, 1000].map(array),
  {
    name: 'one request in ten keeps 4 kB',
    truth: 400,
    heap: (requests) => 4000 * Math.floor(requests / 10),
  },
  {
    name: 'random sizes, mean 2 kB',
    truth: 2000,
    heap: (requests, random) => 2000 * requests + 2000 * Math.sqrt(requests) * gaussian(random),
  },
  {
    name: 'leak on top of a cache that fills',
    truth: 600,
    heap: (requests) => 600 * requests + 2e6 * (1 - Math.exp(-requests / 1500)),
  },
];

export const HEALTHY: readonly Shape[] = [
  { name: 'plain', truth: 0, heap: () => 0 },
  { name: 'cache, random keys, 3000', truth: 0, heap: (n) => 3e6 * (1 - Math.exp(-n / 3000)) },
  { name: 'cache, random keys, 20000', truth: 0, heap: (n) => 2e7 * (1 - Math.exp(-n / 20_000)) },
  { name: 'LRU, new keys, 500', truth: 0, heap: (n) => 1000 * Math.min(n, 500) },
  { name: 'LRU, new keys, 5000', truth: 0, heap: (n) => 1000 * Math.min(n, 5000) },
  { name: 'Zipf cache', truth: 0, heap: (n) => 1000 * Math.min(5000, 700 * Math.log1p(n / 300)) },
  { name: 'JIT of many routes', truth: 0, heap: (n) => 1.5e6 * (1 - Math.exp(-n / 2500)) },
  { name: 'flush every 1300', truth: 0, heap: (n) => 1000 * (n % 1300) },
  { name: 'flush every 4700', truth: 0, heap: (n) => 500 * (n % 4700) },
  { name: 'TTL store', truth: 0, heap: (n) => 1000 * Math.min(n, 900) },
  { name: 'pool that grows', truth: 0, heap: (n) => 20_000 * Math.min(50, Math.sqrt(n)) },
  { name: 'one-off cache', truth: 0, heap: (n) => (n > 900 ? 5e6 : 0) },
  { name: 'late one-off cache', truth: 0, heap: (n) => (n > 3100 ? 5e6 : 0) },
  { name: 'swinging store', truth: 0, heap: (_, random) => 1e6 * random() },
  { name: 'periodic job', truth: 0, heap: (n) => 5e5 * Math.sin(n / 700) },
];

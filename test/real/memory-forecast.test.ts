/** Promise 3 by forecast: no hard limit is reached and the budget holds, with a real leak. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { startLoad, type LoadResult } from '../../src/leak/load.ts';
import { readWorkerMemory } from '../../src/metrics/process-memory.ts';
import { createTreeMeter } from '../../src/metrics/tree.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { serve, statusOfPool } from '../support/serve.ts';

const LEAKY_APP = 'examples/leaky-express/server.js';
const MIB = 2 ** 20;
const WATCH_MS = 200;
const TEST_MS = 120_000;

/** Limits that the workers reach in some 15 s. */
const SLOW = [
  { ratePerSecond: 50, maxMemoryMib: 80, recyclesLeast: 1 },
  { ratePerSecond: 200, maxMemoryMib: 190, recyclesLeast: 1 },
] as const;
const FAST = { ratePerSecond: 500, maxMemoryMib: 420, recyclesLeast: 1 };
const LOAD_MS = 26_000;

describe.skipIf(!existsSync('/proc/self/status'))('a leak of 100 KB a request', () => {
  test('never reaches the hard limit at 50 and 200 requests/s', { timeout: TEST_MS }, async () => {
    await Promise.all(SLOW.map(neverReachLimit));
  });

  // Two cores have nothing left beside it.
  test('never reaches the hard limit at 500 requests/s', { timeout: TEST_MS }, async () => {
    await neverReachLimit(FAST);
  });

  test('keeps the tree within its budget', { timeout: TEST_MS }, async () => {
    const budget = 300;
    const pool = await serve([LEAKY_APP, '--workers', '2', '--memory-budget', `${budget}MiB`]);
    await pool.waitForTold('all_ready');
    const { load, peaks } = await loadFor(pool, 100, 40_000);
    const recycles = pool.told('recycled');
    expect(recycles.length).toBeGreaterThanOrEqual(2);
    expect(new Set(recycles.map(({ reason }) => reason))).toEqual(new Set(['budget']));
    expect(pool.told('over_budget')).toEqual([]);
    expect(Math.max(...peaks.tree)).toBeLessThan(budget * MIB);
    expect({ failed: load.failed, failures: load.failures }).toMatchObject({ failed: 0 });
    const { workers } = await statusOfPool(pool);
    for (const { floorBytes } of workers) expect(floorBytes).toBeGreaterThan(8 * MIB);
  });
});

test('workers auto are as many as the budget holds', { timeout: TEST_MS }, async () => {
  const pool = await serve(['test/apps/heavy.cjs', '--memory-budget', '320MiB']);
  await pool.waitForTold('all_ready');
  expect(pool.told('floor_measured')[0]?.floorBytes).toBeGreaterThan(100 * MIB);
  expect(pool.told('all_ready')[0]?.workers).toBe(1);
  expect(pool.told('worker_ready')).toHaveLength(1);
});

test('each worker gets heap limits from its share, unless the user has set them', async () => {
  const pool = await serve([
    'test/apps/http.cjs',
    '--workers',
    '2',
    '--memory-budget',
    '469MiB',
    '--node-args=--max-semi-space-size=3',
  ]);
  await pool.waitForTold('all_ready');
  const [pid] = pool.told('worker_ready').map((told) => told.pid);
  const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const heap = args.filter((arg) => arg.startsWith('--max-'));
  expect(heap.filter((arg) => arg.startsWith('--max-old-space-size='))).toHaveLength(1);
  expect(heap.filter((arg) => arg.startsWith('--max-semi'))).toEqual(['--max-semi-space-size=3']);
  expect(JSON.stringify(pool.events.find(({ event }) => event === 'starting'))).toContain(heap[0]);
});

// --- internal ---

async function neverReachLimit(rate: (typeof SLOW)[number] | typeof FAST): Promise<void> {
  const { ratePerSecond, maxMemoryMib, recyclesLeast } = rate;
  // The soft limit is out of the way: only the forecast is left.
  const limits = ['--max-memory', `${maxMemoryMib}MiB`, '--memory-soft', '100%', '--min-age', '5s'];
  const pool = await serve([LEAKY_APP, '--workers', '2', ...limits]);
  await pool.waitForTold('all_ready');
  const { load, peaks } = await loadFor(pool, ratePerSecond, LOAD_MS);
  const recycles = pool.told('recycled');
  const words = `at ${ratePerSecond} requests/s`;
  expect(recycles.length, words).toBeGreaterThanOrEqual(recyclesLeast);
  expect(new Set(recycles.map(({ reason }) => reason)), words).toEqual(new Set(['predicted']));
  expect(Math.max(...peaks.worker), words).toBeLessThan(maxMemoryMib * MIB);
  // A young worker may be judged by its predecessors; the first one cannot.
  const slopes = recycles.flatMap(({ slopeBytesPerRequest }) => slopeBytesPerRequest ?? []);
  expect(slopes.length, words).toBeGreaterThan(0);
  expect(Math.min(...slopes), words).toBeGreaterThan(20_000);
  expect({ words, failed: load.failed, failures: load.failures }).toMatchObject({ failed: 0 });
}

interface Peaks {
  /** Anonymous memory of each ready worker, and of the whole tree, at each look. */
  readonly worker: number[];
  readonly tree: number[];
}

async function loadFor(
  pool: RunningCofferdam,
  ratePerSecond: number,
  durationMs: number,
): Promise<{ load: LoadResult; peaks: Peaks }> {
  const peaks: Peaks = { worker: [0], tree: [0] };
  const meter = createTreeMeter();
  const timer = setInterval(() => {
    const pids = pool.workers();
    for (const pid of pids) peaks.worker.push(readWorkerMemory(pid)?.anonBytes ?? 0);
    peaks.tree.push(meter.read([pool.pid, ...pids])?.totalBytes ?? 0);
  }, WATCH_MS);
  try {
    const requests = [{ path: '/?id={id}' }];
    const load = await startLoad({ url: pool.url, ratePerSecond, durationMs, requests }).finished;
    return { load, peaks };
  } finally {
    clearInterval(timer);
  }
}

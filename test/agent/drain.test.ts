import { afterEach, describe, expect, test } from 'vitest';
import type { Harness, HarnessOptions, Worker } from './harness.ts';
import { appPath, portOf, startHarness } from './harness.ts';
import { type Kind, startLoad, type Tally } from './load.ts';

const DRAINS = 20;

let harness: Harness | null = null;

afterEach(async () => {
  await harness?.stop();
  harness = null;
});

describe('plain HTTP/1.1', () => {
  test('hand-over loses nothing', async () => {
    const { tally, moved } = await recycle({ app: appPath('http.cjs') });
    expectNothingLost(tally);
    expect(tally.leftOver).toBe(0);
    expect(moved).toBeGreaterThan(DRAINS);
    expect(harness?.orphaned.count).toBe(0);
  }, 120_000);

  test('the plain drain loses nothing', async () => {
    const brief = { handover: false };
    const { tally, moved } = await recycle({ app: appPath('http.cjs'), brief });
    expectNothingLost(tally);
    expect(moved).toBe(0);
  }, 120_000);
});

// --- internal ---

/** Replaces the only worker again and again, under load. */
async function recycle(
  options: HarnessOptions,
  kinds?: readonly Kind[],
): Promise<{ tally: Tally; moved: number; times: number[] }> {
  harness = startHarness(options);
  let worker: Worker = await harness.start();
  const load = startLoad({ port: portOf(harness) }, kinds);
  let moved = 0;
  const times: number[] = [];
  for (let i = 0; i < DRAINS; i++) {
    const next = await harness.start();
    const begin = Date.now();
    const result = await harness.drain(worker);
    times.push(Date.now() - begin);
    moved += result.moved;
    expect(result.cutRequests).toBe(0);
    worker = next;
  }
  const tally = await load.stop();
  if (process.env['TELL']) {
    const { answered, leftOver, pids } = tally;
    console.log({ node: process.version, answered, leftOver, pids: pids.size, moved, times });
  }
  return { tally, moved, times };
}

function expectNothingLost(tally: Tally): void {
  expect(tally.failed).toEqual([]);
  expect(tally.hung).toEqual([]);
  expect(tally.mismatched).toEqual([]);
  // Each worker took its part, so each drain had something to lose.
  expect(tally.pids.size).toBeGreaterThan(DRAINS / 2);
}

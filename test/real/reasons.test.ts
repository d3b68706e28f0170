/** Every reason to recycle: at its limit, one at a time, told with its numbers, and losing nothing. */
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { LogEvent, RunningCofferdam } from '../support/cofferdam.ts';
import { waitUntil } from '../support/processes.ts';
import { expectMakeBeforeBreak } from '../support/recycling.ts';
import { runCli } from '../support/run-cli.ts';
import { readyPids, serveEcho, statusOfPool, stopLoad } from '../support/serve.ts';

/** With a gate of 1 a recycle ends before the next one begins. */
function expectOneAtATime(events: readonly LogEvent[]): void {
  let running = 0;
  for (const { event } of events) {
    if (event === 'recycle_started') running += 1;
    if (event === 'recycled') running -= 1;
    expect(running).toBeLessThanOrEqual(1);
  }
}

/** The number in a limit such as `180 requests`. */
function limitsOf(pool: RunningCofferdam, which: { slot: number; first: boolean }): number[] {
  return pool
    .told('recycled')
    .filter(({ slot, generation }) => slot === which.slot && (generation === 1) === which.first)
    .map(({ limit }) => Number.parseInt(limit, 10));
}

function expectWithin(numbers: readonly number[], low: number, high: number): void {
  expect(numbers.length).toBeGreaterThan(0);
  for (const number of numbers) {
    expect(number).toBeGreaterThanOrEqual(low);
    expect(number).toBeLessThanOrEqual(high);
  }
}

describe('max_requests', () => {
  test('is jittered, staggered in the first generation, and loses nothing', async () => {
    const pool = await serveEcho(['--max-requests', '300', '--jitter', '10%']);
    const clients = startClients('agent', { url: pool.url }, { paths: ['GET /', 'POST /upload'] });
    await waitUntil('three generations of both slots', () =>
      [1, 2].every((slot) => limitsOf(pool, { slot, first: false }).length >= 2),
    );
    await stopLoad(clients);
    const recycled = pool.told('recycled');
    expect(new Set(recycled.map(({ reason }) => reason))).toEqual(new Set(['max_requests']));
    // Half of the limit for the first of two slots, less the jitter.
    expectWithin(limitsOf(pool, { slot: 1, first: true }), 135, 150);
    expectWithin(limitsOf(pool, { slot: 2, first: true }), 270, 300);
    for (const slot of [1, 2]) expectWithin(limitsOf(pool, { slot, first: false }), 270, 300);
    for (const { requests, limit } of recycled) {
      expect(requests).toBeGreaterThanOrEqual(Number.parseInt(limit, 10));
    }
    expectOneAtATime(pool.events);
    expectMakeBeforeBreak(pool.events);
    const { recycles } = await statusOfPool(pool);
    expect(recycles.max_requests).toBeGreaterThanOrEqual(recycled.length);
  });
});

describe('max_age', () => {
  test('replaces workers that are old enough, and loses nothing', async () => {
    const pool = await serveEcho(['--max-age', '2s', '--jitter', '10%']);
    const clients = startClients('raw', { url: pool.url });
    await pool.waitForTold('recycled', 5);
    await stopLoad(clients);
    const recycled = pool.told('recycled');
    for (const { reason, ageMs, slot, generation } of recycled) {
      expect(reason).toBe('max_age');
      const share = generation === 1 ? slot / 2 : 1;
      expect(ageMs).toBeGreaterThanOrEqual(2000 * 0.9 * share);
    }
    expectOneAtATime(pool.events);
    expectMakeBeforeBreak(pool.events);
  });
});

describe('manual', () => {
  test('USR2 replaces all, one after the other', async () => {
    const pool = await serveEcho(['--workers', '3']);
    const before = readyPids(pool);
    const clients = startClients('agent', { url: pool.url });
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled', 3);
    await stopLoad(clients);
    const slots = pool.told('recycled').map(({ slot }) => slot);
    expect(slots.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
    expect(pool.told('recycled').every(({ reason }) => reason === 'manual')).toBe(true);
    expectOneAtATime(pool.events);
    const now = (await statusOfPool(pool)).workers.map(({ pid }) => pid);
    expect(now.some((pid) => before.includes(pid ?? 0))).toBe(false);
  });

  test('`cofferdam recycle` waits until all are replaced and says how long it took', async () => {
    const pool = await serveEcho();
    const clients = startClients('agent', { url: pool.url });
    const { code, stdout } = await runCli(['recycle', '--name', pool.name]);
    expect(pool.told('recycled')).toHaveLength(2);
    await stopLoad(clients);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^slot \d replaced in .*s\nslot \d replaced in .*s\n$/);
  });

  test('`cofferdam recycle 2` replaces that one only; a slot that is not there is refused', async () => {
    const pool = await serveEcho();
    const clients = startClients('agent', { url: pool.url });
    const { code, stdout } = await runCli(['recycle', '2', '--name', pool.name]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^slot 2 replaced in/);
    const refused = await runCli(['recycle', '3', '--name', pool.name]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/there is no slot 3; the slots are 1, 2/);
    await stopLoad(clients);
    expect(pool.told('recycled').map(({ slot }) => slot)).toEqual([2]);
  });
});

describe('without room for a surge', () => {
  test('the old worker goes first, the other one serves, and nothing is lost', async () => {
    const pool = await serveEcho(['--surge', '0']);
    const clients = startClients('agent', { url: pool.url });
    let most = 0;
    pool.signal('SIGUSR2');
    await waitUntil('two recycles', async () => {
      const { workers } = await statusOfPool(pool);
      most = Math.max(most, workers.length);
      return pool.told('recycled').length >= 2;
    });
    await stopLoad(clients);
    expect(most).toBe(2);
    expect(pool.told('recycle_started').map(({ breakFirst }) => breakFirst)).toEqual([true, true]);
    expectOneAtATime(pool.events);
  });
});

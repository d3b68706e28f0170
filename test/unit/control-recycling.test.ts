import { describe, expect, test } from 'vitest';
import { headStart, limitFor } from '../../src/control/recycling.ts';
import { POLICY, startReady } from './control-kit.ts';

const MEBIBYTE = 1024 * 1024;
const MEMORY = { maxMemoryBytes: 200 * MEBIBYTE, memorySoftShare: 0.5 };

describe('limits', () => {
  test('are lowered at random, never raised, and 0 stays never', () => {
    for (let random = 0; random < 1; random += 0.05) {
      const limit = limitFor(1000, 0.1, 1, random);
      expect(limit).toBeLessThanOrEqual(1000);
      expect(limit).toBeGreaterThanOrEqual(900);
      expect(limitFor(0, 0.1, 1, random)).toBe(0);
    }
    expect(limitFor(1, 1, 0.1, 0.99)).toBe(1);
  });

  test('of the first generation are staggered, of later ones they are not', () => {
    const player = startReady({ workers: 4, maxRequests: 1000 });
    const limits = [...player.state.workers.values()].map(({ requestLimit }) => requestLimit);
    expect(limits).toEqual([250, 500, 750, 1000]);
    player.report(1, { requests: 250 });
    expect(player.state.workers.get(5)?.requestLimit).toBe(1000);
  });

  test('that are exact leave time for a replacement, half of the requests at most', () => {
    const exact = { ...POLICY, maxRequests: 300, exactRequests: true };
    expect(headStart(exact, 0.05, 400)).toBe(20);
    expect(headStart(exact, 5, 400)).toBe(150);
    expect(headStart({ ...exact, maxRequests: 1 }, 5, 400)).toBe(0);
    expect(headStart({ ...exact, exactRequests: false }, 0.05, 400)).toBe(0);
  });

  test('age begins when the worker is ready', () => {
    const player = startReady({ workers: 1, maxAgeMs: 10_000 });
    expect(player.wait(9999)).toEqual([]);
    expect(player.wait(1)).toEqual(['spawn 2']);
    expect(player.told('recycle_started')[0]).toMatchObject({ reason: 'max_age', limit: '10s' });
  });
});

describe('memory', () => {
  test('the soft limit needs three samples in a row of a worker that is warm', () => {
    const player = startReady({ workers: 1, ...MEMORY });
    player.sample(1, 50 * MEBIBYTE);
    for (let sample = 0; sample < 5; sample += 1) player.sample(1, 120 * MEBIBYTE);
    player.wait(10_000);
    expect(player.sample(1, 120 * MEBIBYTE)).toEqual([]);
    expect(player.sample(1, 120 * MEBIBYTE)).toEqual([]);
    expect(player.sample(1, 90 * MEBIBYTE)).toEqual([]);
    expect(player.sample(1, 120 * MEBIBYTE)).toEqual([]);
    expect(player.sample(1, 120 * MEBIBYTE)).toEqual([]);
    expect(player.sample(1, 120 * MEBIBYTE)).toEqual(['spawn 2']);
    expect(player.told('recycle_started')[0]).toMatchObject({
      reason: 'max_memory',
      limit: '100MiB',
      memoryBytes: 120 * MEBIBYTE,
    });
  });

  test('the hard limit needs one', () => {
    const player = startReady({ workers: 1, ...MEMORY });
    player.sample(1, 50 * MEBIBYTE);
    expect(player.sample(1, 200 * MEBIBYTE)).toEqual(['spawn 2']);
    expect(player.told('recycle_started')[0]?.limit).toBe('200MiB');
  });

  test('a limit below the floor is told once and never makes a loop', () => {
    const player = startReady({ ...MEMORY, unresponsiveTimeoutMs: 0 });
    for (let second = 0; second < 600; second += 1) {
      player.wait(1000);
      player.sample(1, 230 * MEBIBYTE);
      player.sample(2, 230 * MEBIBYTE);
    }
    expect(player.told('floor_above_limit')).toEqual([
      {
        event: 'floor_above_limit',
        slot: 1,
        memoryBytes: 230 * MEBIBYTE,
        limitBytes: 100 * MEBIBYTE,
      },
    ]);
    expect(player.told('recycle_started')).toEqual([]);
    // A real leak on top of it is still bounded.
    expect(player.sample(2, 300 * MEBIBYTE)).toEqual(['spawn 3']);
  });

  test('the hard limit does not wait for somebody’s WebSocket in another slot', () => {
    const player = startReady({ ...MEMORY });
    player.sample(2, 50 * MEBIBYTE);
    player.send({ type: 'recycle', slot: 1, reason: 'manual' });
    player.ready(3);
    player.report(1, { inFlight: 1, longLived: 1 });
    expect(player.wait(30_000)).toEqual(['cut 1 requests']);
    player.sample(2, 120 * MEBIBYTE);
    player.sample(2, 120 * MEBIBYTE);
    expect(player.sample(2, 120 * MEBIBYTE)).toEqual([]);
    expect(player.sample(2, 200 * MEBIBYTE)).toEqual(['cut 1 all']);
    expect(player.drained(1)).toEqual(['TERM 1']);
    expect(player.exit(1)).toEqual(['spawn 4']);
  });
});

describe('whose turn it is', () => {
  test('crash, then hard memory, deploy, soft memory, requests, age; whoever asks first', () => {
    const player = startReady({
      workers: 6,
      unresponsiveTimeoutMs: 0,
      bootTimeoutMs: 600_000,
      maxRequests: 600,
      maxAgeMs: 60_000,
      maxMemoryBytes: 200 * MEBIBYTE,
      memorySoftShare: 0.5,
    });
    // The gate is taken until all the others are due.
    player.send({ type: 'recycle', slot: 6, reason: 'manual' });
    for (const worker of [2, 3, 4, 5]) player.sample(worker, 50 * MEBIBYTE);
    player.wait(50_000);
    expect(player.told('recycle_started').map(({ slot }) => slot)).toEqual([6]);
    player.report(2, { requests: 600 });
    for (let sample = 0; sample < 3; sample += 1) player.sample(3, 120 * MEBIBYTE);
    player.send({ type: 'recycle', slot: 4, reason: 'manual' });
    player.sample(5, 200 * MEBIBYTE);
    // A crash waits for no gate.
    expect(player.exit(1, 1)).toEqual(['spawn 8']);
    player.ready(8);
    player.wait(10_000);
    let [old, replacement] = [6, 7];
    for (let turn = 0; turn < 4; turn += 1) {
      player.ready(replacement);
      player.drained(old);
      player.exit(old);
      old = [5, 4, 3, 2][turn] ?? 0;
      replacement = 9 + turn;
    }
    expect(player.told('recycle_started').map(({ slot, reason }) => `${slot} ${reason}`)).toEqual([
      '6 manual',
      '5 max_memory',
      '4 manual',
      '3 max_memory',
      '2 max_requests',
    ]);
  });

  test('a reload before soft memory, requests and age of the same worker', () => {
    const limits = { maxRequests: 100, maxAgeMs: 5000, ...MEMORY };
    const player = startReady({ workers: 2, ...limits, surge: 1 });
    const policy = { ...player.state.policy, jitter: 0 };
    player.send({ type: 'reload', policy });
    player.report(2, { requests: 100 });
    player.wait(5000);
    player.ready(3);
    player.drained(1);
    player.exit(1);
    expect(player.told('recycle_started').map(({ slot, reason }) => `${slot} ${reason}`)).toEqual([
      '1 reload',
      '2 reload',
    ]);
  });
});

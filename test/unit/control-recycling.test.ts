import { describe, expect, test } from 'vitest';
import { limitFor } from '../../src/control/recycling.ts';
import { startReady } from './control-kit.ts';

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

/** The number of workers follows the load: up at once and doubling, down slowly. */
import { describe, expect, test } from 'vitest';
import { totals } from '../../src/control/pool.ts';
import type { Policy } from '../../src/control/types.ts';
import { POLICY, startPlayer, type Player } from './control-kit.ts';

const MIB = 2 ** 20;
const BUSY = { inFlight: 9, eventLoopUtilization: 1 };
const IDLE_MS = 10_000;

/** A pool that has measured its first worker. */
function startScaling(change: Partial<Policy>): Player {
  const quiet = { unresponsiveTimeoutMs: 0, workersMin: 1, workersMax: 16, idleTimeoutMs: IDLE_MS };
  const player = startPlayer({ ...quiet, workers: 1, ...change });
  player.ready(1);
  player.sample(1, 50 * MIB);
  return player;
}

/** All ready workers report the same; what they have answered grows. */
function reportAll(player: Player, report: Parameters<Player['report']>[1]): void {
  for (const { id, life, report: last } of player.state.workers.values()) {
    if (life.state === 'ready') player.report(id, { requests: last.requests, ...report });
  }
}

function readyAll(player: Player): void {
  let booting = [1];
  while (booting.length > 0) {
    booting = [...player.state.workers.values()]
      .filter(({ life }) => life.state === 'booting')
      .map(({ id }) => id);
    for (const id of booting) player.ready(id);
  }
}

describe('dynamic', () => {
  const DYNAMIC = { strategy: 'dynamic', spare: 0 } as const;

  test('steps double while all are busy, up to the most', () => {
    const player = startScaling(DYNAMIC);
    const sizes: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      player.wait(150);
      reportAll(player, BUSY);
      sizes.push(player.state.size);
      readyAll(player);
    }
    expect(sizes.slice(0, 4)).toEqual([2, 4, 8, 16]);
    expect(player.told('at_capacity')).toMatchObject([{ workers: 16 }]);
  });

  test('waits for what boots, but not for long', () => {
    const player = startScaling(DYNAMIC);
    player.wait(150);
    reportAll(player, BUSY);
    player.wait(500);
    reportAll(player, BUSY);
    expect(player.state.size).toBe(2);
    player.wait(600);
    reportAll(player, BUSY);
    expect(player.state.size).toBeGreaterThan(2);
  });

  test('a standstill counts, and so does silence, but not work without requests', () => {
    for (const [told, grows] of [
      [{ inFlight: 1, eventLoopUtilization: 0.3 }, false],
      [{ inFlight: 0, eventLoopUtilization: 1 }, false],
    ] as const) {
      const player = startScaling(DYNAMIC);
      player.wait(1000);
      reportAll(player, told);
      expect(player.state.size > 1).toBe(grows);
    }
    const lagging = startScaling(DYNAMIC);
    lagging.wait(1000);
    const report = { ...lagging.state.workers.get(1)!.report, inFlight: 1 };
    lagging.send({ type: 'report', worker: 1, report, lagMs: 300 });
    expect(lagging.state.size).toBe(2);
    const silent = startScaling(DYNAMIC);
    silent.report(1, { inFlight: 1, eventLoopUtilization: 0 });
    silent.wait(1499);
    expect(silent.state.size).toBe(1);
    silent.wait(1);
    expect(silent.state.size).toBe(2);
  });

  test('keeps idle workers beside the busy ones, and its minimum', () => {
    expect(startScaling({ strategy: 'dynamic', spare: 3 }).state.size).toBe(3);
    const player = startScaling({ strategy: 'dynamic', spare: 1, workersMin: 2, workers: 2 });
    expect(player.state.size).toBe(2);
    player.wait(60_000);
    expect(player.state.size).toBe(2);
  });

  test('goes down one by one, and only what was not needed for a whole idle timeout', () => {
    const player = startScaling(DYNAMIC);
    for (let round = 0; round < 3; round += 1) {
      player.wait(150);
      reportAll(player, BUSY);
      readyAll(player);
    }
    expect(player.state.size).toBe(8);
    reportAll(player, { inFlight: 0, eventLoopUtilization: 0 });
    player.wait(IDLE_MS - 1);
    expect(player.state.size).toBe(8);
    player.wait(1);
    expect(player.state.size).toBe(7);
    player.wait(1000);
    expect(player.state.size).toBe(6);
    // A gust of three workers' work: nobody goes that it needed.
    for (const id of [1, 2, 3]) player.report(id, { requests: 9, ...BUSY });
    player.wait(4000);
    expect(player.state.size).toBe(5);
    expect(totals(player.state).recycles.scale_down).toBe(3);
  });

  test('never above what the budget has room for', () => {
    const player = startScaling({ ...DYNAMIC, budgetBytes: 260 * MIB });
    for (let round = 0; round < 8; round += 1) {
      player.wait(1100);
      reportAll(player, BUSY);
      readyAll(player);
      for (const { id } of player.state.workers.values()) player.sample(id, 50 * MIB);
    }
    expect(player.state.size).toBe(3);
    expect(player.told('at_capacity').at(-1)?.detail).toContain('budget');
    expect(player.told('over_budget')).toEqual([]);
  });

  test('requests that wait have a worker each where one serves one', () => {
    const player = startScaling({ ...DYNAMIC, spare: 1, concurrency: 1 });
    player.report(1, { inFlight: 1 });
    expect(player.state.size).toBe(2);
    player.send({ type: 'demand', waiting: 6, oldestMs: 10 });
    expect(player.state.size).toBe(8);
    player.send({ type: 'demand', waiting: 0, oldestMs: 0 });
    player.wait(IDLE_MS);
    expect(player.state.size).toBe(7);
  });

  test('a static pool does not care', () => {
    const player = startScaling({});
    reportAll(player, BUSY);
    player.send({ type: 'demand', waiting: 40, oldestMs: 10 });
    player.wait(60_000);
    expect(player.told('scaled')).toEqual([]);
  });
});

describe('ondemand', () => {
  const ONDEMAND = { strategy: 'ondemand' } as const;

  test('sleeps when nobody asked for an idle timeout, and wakes for the first who waits', () => {
    const player = startScaling(ONDEMAND);
    player.wait(5000);
    player.report(1, { requests: 1 });
    player.wait(IDLE_MS - 1);
    expect(player.did()).toEqual([]);
    expect(player.wait(1)).toEqual(['drain 1']);
    player.drained(1);
    player.exit(1);
    player.wait(100_000);
    expect(totals(player.state).ready).toBe(0);
    expect(player.send({ type: 'demand', waiting: 1, oldestMs: 0 })).toEqual(['spawn 2']);
    player.ready(2);
    player.send({ type: 'demand', waiting: 0, oldestMs: 0 });
    expect(player.state.size).toBe(1);
    expect(player.wait(IDLE_MS)).toEqual(['drain 2']);
  });

  test('wakes while the last one still leaves', () => {
    const player = startScaling(ONDEMAND);
    expect(player.wait(IDLE_MS)).toEqual(['drain 1']);
    expect(player.send({ type: 'demand', waiting: 1, oldestMs: 0 })).toEqual(['spawn 2']);
  });

  test('does not sleep while somebody is served or connected for long', () => {
    const player = startScaling(ONDEMAND);
    for (let second = 0; second < 60; second += 1) {
      player.report(1, { inFlight: 1, longLived: 1 });
      player.wait(1000);
    }
    expect(player.state.size).toBe(1);
  });

  test('tells the last one that nobody comes after it', () => {
    const player = startScaling(ONDEMAND);
    player.wait(IDLE_MS);
    expect(player.state.workers.get(1)?.life.state).toBe('draining');
    const { effects } = player;
    expect(effects()).toContainEqual(expect.objectContaining({ type: 'drain', last: true }));
  });

  test('a reload wakes one, to see whether it boots', () => {
    const player = startScaling(ONDEMAND);
    player.wait(IDLE_MS);
    player.drained(1);
    player.exit(1);
    const policy = { ...POLICY, ...ONDEMAND, workers: 1 };
    expect(player.send({ type: 'reload', policy })).toEqual(['spawn 2']);
    player.ready(2);
    expect(player.told('reloaded')).toHaveLength(1);
  });
});

/** Growth, forecast, budget, heal: the decisions about memory, one at a time. */
import { describe, expect, test } from 'vitest';
import { arithmeticOf } from '../../src/control/arithmetic.ts';
import { grow, NO_GROWTH, POINTS_MAX, slopeOf, type Growth } from '../../src/control/growth.ts';
import { notesOn, recyclerLoad } from '../../src/control/load.ts';
import { startReady, type Player } from './control-kit.ts';

const MIB = 2 ** 20;

/** Reports and samples worker 1..n once a second; `bytes` tells the memory of worker i then. */
function serve(
  player: Player,
  seconds: number,
  bytes: (worker: number, second: number) => number,
  perSecond = 10,
): string[] {
  const did: string[] = [];
  for (let second = 0; second < seconds; second += 1) {
    did.push(...player.wait(1000));
    for (const worker of player.state.workers.keys()) {
      const requests = player.state.workers.get(worker)!.report.requests + perSecond;
      did.push(...player.report(worker, { requests, inFlight: 0 }));
      did.push(...player.sample(worker, bytes(worker, second)));
    }
  }
  return did;
}

describe('growth', () => {
  const follow = (count: number, bytes: (i: number) => number): Growth => {
    let growth = NO_GROWTH;
    for (let i = 0; i < count; i += 1) {
      growth = grow(growth, { requests: i * 10, memoryBytes: bytes(i), at: i * 1000 });
    }
    return growth;
  };

  test('finds the slope, whatever a few outliers say', () => {
    const { slope } = follow(20, (i) => 1e6 + i * 1000 + (i % 7 === 3 ? 5e5 : 0));
    expect(slope!.low).toBeGreaterThan(50);
    expect(slope!.middle).toBeCloseTo(100, -1);
  });

  test('a sawtooth has no slope that is surely above 0', () => {
    const { slope } = follow(24, (i) => 1e6 + (i % 5) * 1e5);
    expect(slope!.low).toBeLessThanOrEqual(0);
  });

  test('is bounded, and spans the whole life all the same', () => {
    const { points, pace, slope } = follow(1000, (i) => i * 10);
    expect(points.length).toBeLessThanOrEqual(POINTS_MAX);
    expect(points[0]!.requests).toBe(0);
    expect(points.at(-1)!.requests).toBeGreaterThan(9000);
    expect(pace.length).toBeLessThan(10);
    expect(slope!.middle).toBeCloseTo(1, 5);
  });

  test('needs five points, and requests between them', () => {
    expect(slopeOf([])).toBeNull();
    expect(follow(4, (i) => i).slope).toBeNull();
    let growth = NO_GROWTH;
    for (let i = 0; i < 9; i += 1) growth = grow(growth, { requests: 5, memoryBytes: i, at: i });
    expect(growth.points).toHaveLength(1);
  });
});

describe('prediction', () => {
  const limits = { maxMemoryBytes: 200 * MIB, memorySoftShare: 1 };

  test('replaces a growing worker before its limit, and says how it grew', () => {
    const player = startReady({ workers: 1, predict: true, ...limits });
    serve(player, 60, (_, second) => (50 + 5 * second) * MIB);
    const [told] = player.told('recycle_started');
    expect(told).toMatchObject({ reason: 'predicted', limit: '200MiB' });
    expect(told!.memoryBytes).toBeGreaterThan(150 * MIB);
    expect(told!.memoryBytes).toBeLessThan(200 * MIB);
    expect(told!.slopeBytesPerRequest).toBe(MIB / 2);
  });

  test('without it the hard limit is reached', () => {
    const player = startReady({ workers: 1, predict: false, ...limits });
    serve(player, 60, (_, second) => (50 + 5 * second) * MIB);
    expect(player.told('recycle_started')[0]).toMatchObject({ reason: 'max_memory' });
  });

  test('keeps its hands off a worker that does not surely grow', () => {
    const player = startReady({ workers: 1, predict: true, ...limits });
    serve(player, 120, (_, second) => (150 + (second % 5) * 8) * MIB);
    expect(player.told('recycle_started')).toEqual([]);
  });
});

describe('budget', () => {
  test('the one that grows goes, not the largest', () => {
    const player = startReady({ workers: 2, predict: true, budgetBytes: 450 * MIB });
    serve(
      player,
      70,
      (worker, second) => (worker === 1 ? 50 + second * 4 : Math.min(140, 40 + second * 20)) * MIB,
    );
    expect(player.told('recycle_started')[0]).toMatchObject({ slot: 1, reason: 'budget' });
  });

  test('breaks first where no surge worker has room, and says so', () => {
    const player = startReady({ workers: 2, budgetBytes: 200 * MIB });
    serve(player, 12, (worker, second) => (second === 0 ? 60 : 60 + worker * 15) * MIB);
    expect(player.told('recycle_started')[0]).toMatchObject({ slot: 2, breakFirst: true });
    expect(player.state.workers.size).toBe(2);
  });

  test('what no replacement would mend is told once, and nobody is replaced for it', () => {
    const player = startReady({ workers: 2, budgetBytes: 100 * MIB });
    serve(player, 60, () => 60 * MIB);
    expect(player.told('over_budget')).toHaveLength(1);
    expect(player.told('over_budget')[0]!.detail).toContain('no replacement would help');
    expect(player.told('recycle_started')).toEqual([]);
  });

  test('pressure brings one recycle forward, then leaves it time to work', () => {
    const player = startReady({ workers: 2, budgetBytes: 1000 * MIB });
    serve(player, 12, (worker, second) => (second === 0 ? 40 : 60 + worker) * MIB);
    expect(player.told('recycle_started')).toEqual([]);
    player.send({ type: 'pressure' });
    player.send({ type: 'pressure' });
    expect(player.told('recycle_started')).toHaveLength(1);
    expect(player.told('recycle_started')[0]).toMatchObject({ slot: 2, reason: 'budget' });
  });
});

describe('heal', () => {
  const idle = (player: Player, seconds: number, mib: number): void =>
    void serve(player, seconds, () => mib * MIB, 0);

  test('asks one idle worker at a time, and each only once', () => {
    const player = startReady({ workers: 2, heal: true });
    serve(player, 3, (_, second) => (second === 0 ? 20 : 90) * MIB);
    idle(player, 12, 90);
    expect(player.state.heal?.worker).toBe(1);
    player.send({ type: 'healed', worker: 1, memoryBytes: 22 * MIB, tookMs: 40 });
    expect(player.state.heal?.worker).toBe(2);
    player.send({ type: 'healed', worker: 2, memoryBytes: 89 * MIB, tookMs: 40 });
    idle(player, 30, 90);
    expect(player.state.heal).toBeNull();
    expect(player.told('healed')).toHaveLength(2);
    expect(player.told('healed')[0]).toMatchObject({ slot: 1, beforeBytes: 90 * MIB });
  });

  test('leaves busy workers and small ones alone', () => {
    const busy = startReady({ workers: 1, heal: true });
    serve(busy, 30, (_, second) => (second === 0 ? 20 : 90) * MIB);
    const small = startReady({ workers: 1, heal: true });
    idle(small, 1, 20);
    idle(small, 30, 34);
    expect([busy.state.heal, small.state.heal]).toEqual([null, null]);
  });

  test('a worker that never answers does not keep the others waiting', () => {
    const player = startReady({ workers: 2, heal: true });
    serve(player, 3, (_, second) => (second === 0 ? 20 : 90) * MIB);
    idle(player, 25, 90);
    expect(player.state.heal?.worker).toBe(2);
  });
});

describe('workers auto', () => {
  test('no more than the floor of the first one allows', () => {
    const player = startReady({ workers: 4, fitWorkers: true, budgetBytes: 400 * MIB });
    expect([...player.state.workers.keys()]).toEqual([1]);
    player.sample(1, 100 * MIB);
    expect(player.state.size).toBe(2);
    expect(player.told('scaled')).toEqual([{ event: 'scaled', from: 4, to: 2, why: 'memory' }]);
    expect(player.told('floor_measured')[0]!.detail).toContain('room for 2 workers');
  });

  test('without any measurement the CPUs decide, a second later', () => {
    const player = startReady({ workers: 3, fitWorkers: true, budgetBytes: 400 * MIB });
    expect(player.state.workers.size).toBe(1);
    player.wait(1000);
    expect(player.state.workers.size).toBe(3);
  });
});

describe('the arithmetic', () => {
  const leaky = { workers: 2, predict: true, budgetBytes: 400 * MIB, minAgeMs: 5000 };

  test('is told when the leak is sure, and fits while there is time to replace', () => {
    const player = startReady(leaky);
    player.send({ type: 'overhead', bytes: 40 * MIB });
    serve(player, 14, (_, second) => (50 + 2 * second) * MIB, 20);
    expect(player.told('growth_measured')).toMatchObject([
      {
        slopeBytesPerRequest: Math.round(MIB / 10),
        detail:
          'floor 50MiB x (2 + 1 surge) + 40MiB leave room for 2100 requests of 102KiB in 400MiB; ' +
          'recycler load 0%',
      },
    ]);
    expect(player.told('recycler_saturated')).toEqual([]);
    expect(arithmeticOf(player.state)).toBe(player.told('growth_measured')[0]!.detail);
  });

  test('says in a sentence when memory is full before anybody may go, and how much would hold', () => {
    const player = startReady(leaky);
    player.send({ type: 'overhead', bytes: 40 * MIB });
    serve(player, 11, (_, second) => (50 + 25 * second) * MIB, 150);
    const [told, ...more] = player.told('recycler_saturated');
    expect(more).toEqual([]);
    // 210 MiB of room at 50 MiB a second; 5 s of min-age, and boots that take no time.
    expect(told!.detail).toBe(
      'this cannot hold: fresh workers fill their memory in 4.2s, and nobody is replaced before ' +
        '5.0s (--min-age and a boot); up to 252 requests/s may hold',
    );
    expect(notesOn(player.state)).toContain(told!.detail);
    expect(arithmeticOf(player.state)).toContain(told!.detail);
  });

  test('counts the budget into the load of the gate', () => {
    const player = startReady({ ...leaky, minAgeMs: 0, drainTimeoutMs: 0 });
    player.send({ type: 'overhead', bytes: 40 * MIB });
    serve(player, 12, (_, second) => (50 + 3 * second) * MIB, 30);
    const { boots } = player.state.lessons;
    expect(boots.every((ms) => ms === 0)).toBe(true);
    expect(
      recyclerLoad({ ...player.state, lessons: { ...player.state.lessons, boots: [3500] } }),
    ).toBeCloseTo(0.2, 1);
  });
});

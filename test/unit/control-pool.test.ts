import { describe, expect, test } from 'vitest';
import { createPool, nextDeadline, step, totals, workersOf } from '../../src/control/pool.ts';
import { POLICY, startPlayer, startReady } from './control-kit.ts';

describe('start', () => {
  test('slot 1 boots alone, then the others two at a time', () => {
    const player = startPlayer({ workers: 4 });
    expect(player.did()).toEqual(['spawn 1']);
    expect(player.ready(1)).toEqual(['spawn 2', 'spawn 3']);
    expect(player.ready(3)).toEqual(['spawn 4']);
    player.ready(2);
    expect(player.told('all_ready')).toEqual([]);
    player.now = 700;
    player.ready(4);
    expect(player.told('all_ready')).toEqual([{ event: 'all_ready', workers: 4, tookMs: 700 }]);
  });

  test('the first boot that fails ends everything', () => {
    const player = startPlayer();
    const said = { type: 'boot_failed', worker: 1, message: 'no database' } as const;
    expect(player.send({ ...said, retryAtOnce: false })).toEqual(['TERM 1']);
    expect(player.exit(1, 1)).toEqual(['never_booted']);
    expect(player.outcome()).toEqual({ type: 'never_booted', detail: 'no database' });
    expect(player.send({ type: 'tick' })).toEqual([]);
  });

  test('a first boot that hangs is ended by the ladder', () => {
    const player = startPlayer();
    expect(player.wait(30_000)).toEqual(['TERM 1']);
    expect(player.wait(5000)).toEqual(['KILL 1']);
    player.exit(1, null);
    const detail = 'did not listen within 30s';
    expect(player.outcome()).toEqual({ type: 'never_booted', detail });
  });

  test('a boot that failed for our own fault is tried again, three times', () => {
    const player = startPlayer();
    for (let worker = 1; worker <= 4; worker += 1) {
      const said = { type: 'boot_failed', worker, message: 'EADDRINUSE', retryAtOnce: true };
      player.send({ ...said, type: 'boot_failed' });
      expect(player.exit(worker)).toEqual(worker < 4 ? [`spawn ${worker + 1}`] : ['never_booted']);
    }
  });

  test('a later boot failure does not stop the pool, and is told with the retry', () => {
    const player = startPlayer();
    player.ready(1);
    expect(player.exit(2, 3)).toEqual([]);
    expect(player.told('boot_failed')).toMatchObject([
      { slot: 2, generation: 1, detail: 'last words', failures: 1, retryInMs: 250 },
    ]);
    expect(player.wait(249)).toEqual([]);
    expect(player.wait(1)).toEqual(['spawn 3']);
  });
});

describe('recycle', () => {
  test('makes before it breaks', () => {
    const player = startReady();
    player.now = 100;
    expect(player.send({ type: 'recycle', slot: 1, reason: 'manual' })).toEqual(['spawn 3']);
    player.now = 600;
    expect(player.ready(3)).toEqual(['drain 1']);
    player.now = 700;
    expect(player.drained(1)).toEqual(['TERM 1']);
    player.now = 710;
    expect(player.exit(1)).toEqual([]);
    expect(player.told('recycled')).toMatchObject([
      { slot: 1, generation: 1, reason: 'manual', replacedInMs: 500, drainMs: 110, killed: false },
    ]);
    expect(totals(player.state)).toMatchObject({ recyclesInProgress: 0, ready: 2, crashes: 0 });
    expect(totals(player.state).recycles.manual).toBe(1);
  });

  test('that is asked for twice happens once', () => {
    const player = startReady({ workers: 1 });
    player.send({ type: 'recycle', slot: 1, reason: 'manual' });
    player.ready(2);
    player.send({ type: 'recycle', slot: 1, reason: 'manual' });
    player.drained(1);
    expect(player.exit(1)).toEqual([]);
  });

  test('of a worker that hangs in a request ends it without a drain', () => {
    const player = startReady();
    expect(player.send({ type: 'overdue', worker: 1 })).toEqual(['spawn 3']);
    expect(player.ready(3)).toEqual(['TERM 1']);
    player.exit(1);
    expect(player.told('recycled')).toMatchObject([{ slot: 1, reason: 'request_timeout' }]);
  });

  test('takes one slot after the other through the gate', () => {
    const player = startReady({ workers: 3 });
    expect(player.send({ type: 'recycle', slot: null, reason: 'manual' })).toEqual(['spawn 4']);
    expect(player.send({ type: 'recycle', slot: 1, reason: 'manual' })).toEqual([]);
    player.ready(4);
    player.drained(1);
    expect(player.exit(1)).toEqual(['spawn 5']);
    player.ready(5);
    player.drained(2);
    expect(player.exit(2)).toEqual(['spawn 6']);
    player.ready(6);
    player.drained(3);
    expect(player.exit(3)).toEqual([]);
    expect(totals(player.state).recycles.manual).toBe(3);
  });

  test('breaks first without surge, and never the last one that serves', () => {
    const player = startReady({ surge: 0, gate: 2 });
    expect(player.send({ type: 'recycle', slot: null, reason: 'manual' })).toEqual(['drain 1']);
    expect(player.told('recycle_started')).toMatchObject([{ slot: 1, breakFirst: true }]);
    player.drained(1);
    expect(player.exit(1)).toEqual(['spawn 3']);
    expect(player.ready(3)).toEqual(['drain 2']);
  });

  test('keeps the old worker when its replacement does not boot', () => {
    const player = startReady({ workers: 1 });
    player.send({ type: 'recycle', slot: 1, reason: 'manual' });
    expect(player.exit(2, 1)).toEqual([]);
    expect(player.told('recycle_postponed')).toEqual([
      {
        event: 'recycle_postponed',
        slot: 1,
        reason: 'manual',
        detail: 'last words',
        retryInMs: 250,
      },
    ]);
    expect(workersOf(player.state)).toMatchObject([{ worker: 1, state: 'ready' }]);
    expect(player.wait(250)).toEqual(['spawn 3']);
    expect(player.ready(3)).toEqual(['drain 1']);
  });

  test('is over when the old worker dies while its replacement boots', () => {
    const player = startReady();
    player.send({ type: 'recycle', slot: 1, reason: 'manual' });
    expect(player.exit(1, 1)).toEqual([]);
    expect(player.ready(3)).toEqual([]);
    expect(totals(player.state)).toMatchObject({ recyclesInProgress: 0, ready: 2, crashes: 1 });
    expect(player.told('recycled')).toEqual([]);
  });
});

describe('failures', () => {
  test('a crash is told with its numbers and replaced at once; a loop backs off', () => {
    const player = startReady({ workers: 1 });
    player.wait(5000);
    player.report(1, { requests: 12, inFlight: 3 });
    expect(player.exit(1, 7)).toEqual(['spawn 2']);
    expect(player.told('worker_crashed')).toMatchObject([
      { code: 7, requests: 12, inFlight: 3, ageMs: 5000, detail: 'last words', retryInMs: 0 },
    ]);
    player.ready(2);
    expect(player.exit(2, 7)).toEqual([]);
    expect(player.wait(250)).toEqual(['spawn 3']);
  });

  test('an unresponsive worker is replaced without a drain that it would not hear', () => {
    const player = startReady({ workers: 1 });
    expect(player.wait(60_000)).toEqual(['spawn 2']);
    expect(player.told('unresponsive')).toMatchObject([{ slot: 1, silentMs: 60_000 }]);
    expect(player.ready(2)).toEqual(['TERM 1']);
    expect(player.wait(5000)).toEqual(['KILL 1']);
    player.exit(1, null);
    expect(player.told('recycled')).toMatchObject([{ reason: 'unresponsive', killed: true }]);
  });

  test('one that speaks again meanwhile is still replaced, but politely', () => {
    const player = startReady({ workers: 1 });
    player.wait(60_000);
    player.report(1, {});
    expect(player.ready(2)).toEqual(['drain 1']);
  });

  test('a drain that does not end is cut, then ended', () => {
    const player = startReady({ workers: 1 });
    player.send({ type: 'recycle', slot: 1, reason: 'manual' });
    player.ready(2);
    expect(player.wait(29_999)).toEqual([]);
    expect(player.wait(1)).toEqual(['cut 1 requests']);
    expect(player.wait(1000)).toEqual(['TERM 1']);
    expect(player.wait(5000)).toEqual(['KILL 1']);
  });

  test('long-lived connections have a deadline of their own', () => {
    const player = startReady({ workers: 1 });
    player.send({ type: 'recycle', slot: 1, reason: 'manual' });
    player.ready(2);
    player.report(1, { inFlight: 2, longLived: 1 });
    expect(player.wait(30_000)).toEqual(['cut 1 requests']);
    player.report(2, {});
    expect(player.wait(269_999).filter((word) => word.endsWith(' 1'))).toEqual([]);
    expect(player.wait(1)).toEqual(['cut 1 all']);
    expect(player.told('drain_deadline')).toHaveLength(2);
  });

  test('nobody pays for a supervisor that did not run', () => {
    const player = startReady({ workers: 1 });
    player.now += 300_000;
    expect(player.send({ type: 'suspended', gapMs: 300_000 })).toEqual([]);
    expect(player.wait(59_999)).toEqual([]);
    expect(player.wait(1)).toEqual(['spawn 2']);
  });
});

describe('scale', () => {
  test('scale stays within its bounds and says what it did', () => {
    const player = startReady({ workersMax: 3 });
    expect(player.send({ type: 'scale', slots: 99 })).toEqual(['spawn 3']);
    player.ready(3);
    expect(player.send({ type: 'scale', slots: 0 })).toEqual(['drain 2', 'drain 3']);
    expect(player.told('scaled')).toMatchObject([
      { from: 2, to: 3 },
      { from: 3, to: 1 },
    ]);
    expect(totals(player.state).recycles.scale_down).toBe(2);
  });

  test('two steps in one turn are two steps', () => {
    const player = startReady({ workers: 1 });
    player.send({ type: 'scale_by', slots: 1 });
    player.send({ type: 'scale_by', slots: 1 });
    expect(player.state.size).toBe(3);
    player.send({ type: 'scale_by', slots: NaN });
    player.send({ type: 'scale_by', slots: -2 });
    expect(player.state.size).toBe(1);
  });

  test('scaling down does not take the last worker that serves', () => {
    const player = startReady();
    player.exit(1, 1);
    expect(player.send({ type: 'scale', slots: 1 })).toEqual([]);
    expect(player.ready(3)).toEqual(['drain 2']);
  });
});

test('fractions of a millisecond do not make a timer fire for nothing', () => {
  let { state } = step(createPool(POLICY), { type: 'start' }, 10.75, () => 0);
  expect(nextDeadline(state)).toBe(30_010);
  ({ state } = step(state, { type: 'tick' }, 30_009.9, () => 0));
  expect(nextDeadline(state)).toBe(30_010);
  expect(step(state, { type: 'tick' }, 30_010.2, () => 0).effects).not.toEqual([]);
});

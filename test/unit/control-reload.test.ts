/** A reload: one canary first, then the others, or everything as before. */
import { describe, expect, test } from 'vitest';
import { nextDeadline, totals, workersOf } from '../../src/control/pool.ts';
import { POLICY, startPlayer, startReady, type Player } from './control-kit.ts';

const NEXT = { ...POLICY, maxRequests: 9 };

function epochs(player: Player): number[] {
  return workersOf(player.state).map(({ epoch }) => epoch);
}

/** Worker `old` leaves, and what follows from it. */
function leave(player: Player, old: number): string[] {
  player.drained(old);
  return player.exit(old);
}

describe('a reload', () => {
  test('replaces everybody through the gate, and says when it is done', () => {
    const player = startReady();
    expect(player.send({ type: 'reload', policy: NEXT })).toEqual(['spawn 3']);
    expect(player.state.policy.maxRequests).toBe(0);
    expect(player.ready(3)).toEqual(['drain 1']);
    expect(player.state.policy.maxRequests).toBe(9);
    expect(player.told('reload_rolling')).toMatchObject([{ epoch: 1, slot: 1 }]);
    expect(leave(player, 1)).toEqual(['spawn 4']);
    player.wait(70);
    expect(player.told('reloaded')).toEqual([]);
    player.ready(4);
    expect(player.told('reloaded')).toMatchObject([{ epoch: 1, workers: 2, tookMs: 70 }]);
    leave(player, 2);
    expect(workersOf(player.state)).toMatchObject([
      { slot: 1, generation: 2, epoch: 1, requestLimit: 9 },
      { slot: 2, generation: 2, epoch: 1, requestLimit: 9 },
    ]);
    expect(player.told('reloaded')).toHaveLength(1);
  });

  test('changes the number of slots, but not one that was set by hand', () => {
    const player = startReady();
    player.send({ type: 'scale', slots: 3 });
    player.ready(3);
    player.send({ type: 'reload', policy: NEXT });
    player.ready(4);
    expect(player.state.size).toBe(3);
    const other = startReady();
    other.send({ type: 'reload', policy: { ...POLICY, workers: 4 } });
    expect(other.state.size).toBe(2);
    other.ready(3);
    expect(other.told('scaled')).toEqual([{ event: 'scaled', from: 2, to: 4, why: 'reload' }]);
  });

  test('before anything serves rules at once', () => {
    const player = startReady();
    player.send({ type: 'reload', policy: NEXT });
    expect(player.state.epoch).toBe(0);
  });
});

describe('a canary that does not become ready', () => {
  test.each([
    ['exits', (player: Player) => player.exit(3, 1), 'last words'],
    [
      'says so',
      (player: Player) =>
        player.send({ type: 'boot_failed', worker: 3, message: 'no port', retryAtOnce: false }),
      'no port',
    ],
    ['hangs', (player: Player) => player.wait(20_000), 'did not listen within 20s'],
  ])('because it %s takes the reload back, told once', (_, fail, detail) => {
    const quiet = { unresponsiveTimeoutMs: 0 };
    const player = startReady(quiet);
    player.send({ type: 'reload', policy: { ...NEXT, ...quiet, bootTimeoutMs: 20_000 } });
    fail(player);
    player.exit(3, 1);
    player.wait(120_000);
    expect(player.told('reload_rolled_back')).toMatchObject([{ epoch: 1, slot: 1, detail }]);
    expect(player.told('boot_failed')).toEqual([]);
    expect(totals(player.state)).toMatchObject({
      ready: 2,
      bootFailures: 1,
      recyclesInProgress: 0,
    });
    expect(player.state.policy.maxRequests).toBe(0);
    expect(epochs(player)).toEqual([0, 0]);
    expect(player.exit(1, 1)).toEqual(['spawn 4']);
    expect(epochs(player)).toEqual([0, 0]);
    // The next try is another one.
    player.ready(4);
    expect(player.send({ type: 'reload', policy: { ...NEXT, ...quiet } })).toEqual(['spawn 5']);
    player.ready(5);
    expect(player.state.epoch).toBe(2);
  });

  test('through our own fault is tried again', () => {
    const player = startReady();
    player.send({ type: 'reload', policy: NEXT });
    player.send({ type: 'boot_failed', worker: 3, message: 'raced', retryAtOnce: true });
    expect(player.exit(3, 1)).toEqual(['spawn 4']);
    player.ready(4);
    expect(player.told('reload_rolled_back')).toEqual([]);
    expect(player.state.epoch).toBe(1);
  });

  test('leaves its slot to the old configuration where that was broken first', () => {
    const player = startReady({ surge: 0 });
    expect(player.send({ type: 'reload', policy: { ...NEXT, surge: 0 } })).toEqual(['drain 1']);
    expect(leave(player, 1)).toEqual(['spawn 3']);
    expect(epochs(player)).toEqual([1, 0]);
    expect(player.exit(3, 1)).toEqual(['spawn 4']);
    expect(epochs(player)).toEqual([0, 0]);
    expect(totals(player.state).recyclesInProgress).toBe(0);
  });
});

describe('meanwhile', () => {
  test('a crash restarts the generation of its own slot', () => {
    const player = startReady();
    player.send({ type: 'reload', policy: NEXT });
    // On trial:
    expect(player.exit(2, 1)).toEqual(['spawn 4']);
    player.ready(4);
    expect(epochs(player)).toEqual([0, 1, 0]);
    // On the roll:
    player.ready(3);
    expect(player.exit(4, 1)).toEqual(['spawn 5']);
    player.ready(5);
    expect(workersOf(player.state).filter(({ slot }) => slot === 2)).toMatchObject([{ epoch: 0 }]);
    expect(leave(player, 1)).toEqual(['spawn 6']);
    player.ready(6);
    expect(player.told('reloaded')).toHaveLength(1);
  });

  test('a slot that crashes again and again takes what may mend it', () => {
    const player = startReady({ workers: 1 });
    player.exit(1, 1);
    player.ready(2);
    player.exit(2, 1);
    expect(player.send({ type: 'reload', policy: { ...NEXT, workers: 1 } })).toEqual(['spawn 3']);
    expect(epochs(player)).toEqual([1]);
    player.ready(3);
    expect(player.told('reloaded')).toHaveLength(1);
  });

  test('a newer reload takes the place of the one on trial', () => {
    const player = startReady();
    player.send({ type: 'reload', policy: NEXT });
    const policy = { ...POLICY, maxRequests: 7 };
    expect(player.send({ type: 'reload', policy })).toEqual(['TERM 3']);
    expect(player.told('reload_rolled_back')).toMatchObject([{ epoch: 1 }]);
    expect(player.exit(3, null)).toEqual(['spawn 4']);
    player.ready(4);
    expect(player.state).toMatchObject({ epoch: 2, trial: null, policy: { maxRequests: 7 } });
  });

  test('nobody else is replaced by the one before it', () => {
    const player = startReady({ workers: 3 });
    player.send({ type: 'reload', policy: { ...NEXT, workers: 3 } });
    player.ready(4);
    expect(leave(player, 1)).toEqual(['spawn 5']);
    player.send({ type: 'reload', policy: { ...POLICY, workers: 3 } });
    // What has begun ends; the next to be born is the canary.
    player.ready(5);
    expect(leave(player, 2)).toEqual(['spawn 6']);
    expect(workersOf(player.state).find(({ worker }) => worker === 6)).toMatchObject({ epoch: 2 });
    expect(nextDeadline(player.state)).not.toBeNull();
  });
});

describe('a reload of several pools', () => {
  const reload = { type: 'reload', policy: NEXT, isJoint: true } as const;

  test('waits for the others when its first worker serves, and rolls when it is told to', () => {
    const player = startReady();
    expect(player.send(reload)).toEqual(['spawn 3']);
    expect(player.ready(3)).toEqual(['drain 1']);
    expect(player.told('canary_ready')).toEqual([{ event: 'canary_ready', epoch: 1, slot: 1 }]);
    leave(player, 1);
    player.wait(30_000);
    expect(player.state.policy.maxRequests).toBe(0);
    expect(epochs(player)).toEqual([1, 0]);
    expect(player.send({ type: 'commit', epoch: 1 })).toEqual(['spawn 4']);
    expect(player.told('reload_rolling')).toMatchObject([{ epoch: 1, slot: 1 }]);
    player.ready(4);
    expect(player.told('reloaded')).toMatchObject([{ epoch: 1, workers: 2 }]);
    expect(player.state.policy.maxRequests).toBe(9);
  });

  test('goes back when another pool fails: who served under it is replaced politely', () => {
    const player = startReady();
    player.send(reload);
    player.ready(3);
    leave(player, 1);
    const did = player.send({ type: 'roll_back', epoch: 1, detail: 'pool api: no port' });
    expect(did).toEqual(['spawn 4']);
    expect(player.told('reload_rolled_back')).toMatchObject([{ detail: 'pool api: no port' }]);
    expect(player.ready(4)).toEqual(['drain 3']);
    leave(player, 3);
    expect(epochs(player)).toEqual([0, 0]);
    expect(player.state).toMatchObject({ epoch: 0, trial: null, policy: { maxRequests: 0 } });
    expect(player.told('reloaded')).toEqual([]);
    expect(player.send({ type: 'commit', epoch: 1 })).toEqual([]);
  });

  test('goes back while who was proved is being replaced for a reason of its own', () => {
    const player = startReady();
    player.send(reload);
    player.ready(3);
    leave(player, 1);
    expect(player.send({ type: 'recycle', slot: 1, reason: 'manual' })).toEqual(['spawn 4']);
    player.send({ type: 'roll_back', epoch: 1, detail: 'others' });
    expect(totals(player.state).recyclesInProgress).toBe(1);
    expect(player.ready(4)).toEqual(['drain 3']);
    leave(player, 3);
    expect(epochs(player)).toEqual([0, 0]);
  });

  test('goes back before its own first worker is ready', () => {
    const player = startReady();
    player.send(reload);
    expect(player.send({ type: 'roll_back', epoch: 1, detail: 'others' })).toEqual(['TERM 3']);
    player.exit(3, null);
    expect(epochs(player)).toEqual([0, 0]);
  });

  test('is not moved by orders about another one', () => {
    const player = startReady();
    player.send(reload);
    player.send({ type: 'commit', epoch: 1 });
    expect(player.state.epoch).toBe(0);
    player.ready(3);
    player.send({ type: 'commit', epoch: 2 });
    player.send({ type: 'roll_back', epoch: 2, detail: 'others' });
    expect(player.state).toMatchObject({ epoch: 0, trial: { epoch: 1, isProved: true } });
  });

  test('waits in a pool that has not served yet', () => {
    const player = startPlayer();
    player.send(reload);
    player.ready(1);
    expect(player.state).toMatchObject({ epoch: 0, trial: { epoch: 1, isProved: false } });
    player.ready(2);
    expect(workersOf(player.state).some(({ epoch }) => epoch === 1)).toBe(true);
  });

  test('a crash after the proof is a crash, and starts what rules', () => {
    const player = startReady();
    player.send(reload);
    player.ready(3);
    leave(player, 1);
    expect(player.exit(3, 1)).toEqual(['spawn 4']);
    expect(player.told('reload_rolled_back')).toEqual([]);
    expect(epochs(player)).toEqual([0, 0]);
    player.ready(4);
    player.send({ type: 'commit', epoch: 1 });
    expect(player.state.epoch).toBe(1);
  });

  test('judges the floor of its first worker by the limits that then rule', () => {
    const player = startReady();
    player.send({ ...reload, policy: { ...NEXT, maxMemoryBytes: 100 } });
    player.ready(3);
    player.sample(3, 500);
    expect(player.told('floor_above_limit')).toEqual([]);
    player.send({ type: 'commit', epoch: 1 });
    expect(player.told('floor_above_limit')).toMatchObject([{ slot: 1, memoryBytes: 500 }]);
  });
});

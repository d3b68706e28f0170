import { describe, expect, test } from 'vitest';
import { createPool, step } from '../../src/control/pool.ts';
import { POLICY, startReady } from './control-kit.ts';

describe('stop', () => {
  test('graceful drains everybody at once and ends what still boots', () => {
    const player = startReady();
    player.send({ type: 'recycle', slot: 1, reason: 'manual' });
    expect(player.send({ type: 'stop', mode: 'graceful' })).toEqual([
      'drain 1',
      'drain 2',
      'TERM 3',
    ]);
    player.exit(3);
    player.drained(1);
    player.exit(1);
    expect(player.exit(2)).toEqual(['stopped']);
  });

  test('that runs out of time says what it cut', () => {
    const player = startReady();
    player.report(1, { inFlight: 3, longLived: 1 });
    player.send({ type: 'stop', mode: 'graceful' });
    expect(player.wait(30_000)).toEqual(['cut 1 all', 'cut 2 all']);
    expect(player.wait(6000)).toEqual(['TERM 1', 'TERM 2', 'KILL 1', 'KILL 2']);
    player.exit(1, null);
    player.exit(2, null);
    expect(player.outcome()).toEqual({
      type: 'stopped_late',
      cutRequests: 2,
      cutLongLived: 1,
      killed: 2,
    });
  });

  test('now kills, also what drains already', () => {
    const player = startReady();
    player.send({ type: 'stop', mode: 'graceful' });
    expect(player.send({ type: 'stop', mode: 'now' })).toEqual(['KILL 1', 'KILL 2']);
    player.exit(1, null);
    player.exit(2, null);
    expect(player.outcome()).toEqual({ type: 'stopped' });
  });

  test('with a delay serves on, at full strength, until it is over', () => {
    const player = startReady({ shutdownDelayMs: 10_000 });
    expect(player.send({ type: 'stop', mode: 'graceful' })).toEqual([]);
    expect(player.told('leaving')).toEqual([{ event: 'leaving', delayMs: 10_000 }]);
    // Asked once more, and told to change: neither delays nor hurries anything.
    player.wait(3000);
    player.send({ type: 'stop', mode: 'graceful' });
    player.send({ type: 'scale', slots: 4 });
    expect(player.exit(2)).toEqual(['spawn 3']);
    player.ready(3);
    expect(player.wait(6999)).toEqual([]);
    expect(player.wait(1)).toEqual(['drain 1', 'drain 3']);
    expect(player.told('stopping')).toHaveLength(1);
  });

  test('with a delay can still be turned into one now', () => {
    const player = startReady({ shutdownDelayMs: 10_000 });
    player.send({ type: 'stop', mode: 'graceful' });
    expect(player.send({ type: 'stop', mode: 'now' })).toEqual(['KILL 1', 'KILL 2']);
  });

  test('before the start ends at once', () => {
    const { effects } = step(createPool(POLICY), { type: 'stop', mode: 'graceful' }, 0, () => 0);
    expect(effects.at(-1)).toEqual({ type: 'finished', outcome: { type: 'stopped' } });
  });
});

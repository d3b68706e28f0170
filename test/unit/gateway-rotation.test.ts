/** Who gets the next request: least loaded, longest rested, never past a limit. */
import { describe, expect, test } from 'vitest';
import {
  choose,
  createMember,
  createRotation,
  give,
  takeBack,
  type Member,
  type Rotation,
} from '../../src/data/gateway/rotation.ts';
import type { Upstream } from '../../src/data/gateway/types.ts';
import { createDice } from '../sim/dice.ts';

const upstream: Upstream = {
  forward: () => Promise.reject(new Error('nothing is forwarded here')),
  release: () => undefined,
  destroy: () => undefined,
};

function add(
  rotation: Rotation<number>,
  facts: Partial<Pick<Member<number>, 'concurrency' | 'requestLimit' | 'reserved'>> = {},
): Member<number> {
  const id = rotation.members.size + 1;
  const defaults = { concurrency: 0, requestLimit: 0, noticeAt: 0, reserved: false };
  const member = createMember<number>({ id, slot: id, upstream, ...defaults, ...facts });
  member.phase = 'serving';
  rotation.members.set(id, member);
  return member;
}

describe('the rotation', () => {
  test('goes round while all are equal, and to the least loaded when they are not', () => {
    const rotation = createRotation<number>();
    for (let index = 0; index < 3; index += 1) add(rotation);
    const order = Array.from({ length: 6 }, (_, job) => {
      const member = choose(rotation, 'normal')!;
      give(rotation, member, job);
      return member.id;
    });
    expect(order).toEqual([1, 2, 3, 1, 2, 3]);
    takeBack(rotation.members.get(2)!, 1, { reached: true });
    expect(choose(rotation, 'normal')?.id).toBe(2);
  });

  test('gives the reserved worker to probes only, and to them first', () => {
    const rotation = createRotation<number>();
    add(rotation);
    const reserve = add(rotation, { reserved: true, concurrency: 1 });
    expect(choose(rotation, 'normal')?.id).toBe(1);
    expect(choose(rotation, 'probe')).toBe(reserve);
    give(rotation, reserve, 1);
    expect(choose(rotation, 'probe')?.id).toBe(1);
  });

  test.each([1, 2, 3, 4, 5])('keeps every bound whatever happens, seed %i', (seed) => {
    const dice = createDice(seed);
    const rotation = createRotation<number>();
    for (let index = 0; index < 5; index += 1) {
      add(rotation, { concurrency: dice.whole(0, 3), requestLimit: dice.whole(0, 39) });
    }
    const lasts = new Map<number, number>();
    for (let job = 0; job < 1000; job += 1) {
      const members = [...rotation.members.values()];
      const member = choose(rotation, 'normal');
      if (member !== null && dice.whole(0, 2) > 0) {
        if (give(rotation, member, job).last) lasts.set(member.id, (lasts.get(member.id) ?? 0) + 1);
      } else {
        const busy = members.find(({ jobs }) => jobs.length > 0);
        const [done] = busy?.jobs ?? [];
        if (done !== undefined) takeBack(busy!, done, { reached: dice.whole(0, 3) > 0 });
      }
      for (const { concurrency, requestLimit, jobs, given } of members) {
        if (concurrency > 0) expect(jobs.length).toBeLessThanOrEqual(concurrency);
        if (requestLimit > 0) expect(given).toBeLessThanOrEqual(requestLimit);
      }
    }
    // "The last one" is said once, for afterwards there are no others.
    for (const [id, times] of lasts) expect([id, times]).toEqual([id, 1]);
    expect([...rotation.members.values()].filter(({ phase }) => phase === 'spent').length).toBe(
      lasts.size,
    );
  });
});

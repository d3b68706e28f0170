/** The queue against a slow and obvious model of it, with dice whose seed is printed. */
import { describe, expect, test } from 'vitest';
import {
  createQueue,
  enter,
  enterFirst,
  expire,
  LANES,
  leave,
  nextDeadline,
  type Lane,
  type Ticket,
} from '../../src/data/gateway/queue.ts';
import { countWait, createQueueBook } from '../../src/data/gateway/queue-book.ts';
import { DURATION_BOUNDS_MS } from '../../src/protocol.ts';
import { createDice } from '../sim/dice.ts';

const LIMIT = 20;
const AGE_MS = 50;

describe('the queue', () => {
  test.each(Array.from({ length: 10 }, (_, index) => index + 1))(
    'does as its model, seed %i',
    (seed) => {
      const dice = createDice(seed);
      const queue = createQueue<number>();
      const model: Record<Lane, Ticket<number>[]> = { probe: [], normal: [] };
      const all = (): Ticket<number>[] => [...model.probe, ...model.normal];
      let now = 0;
      for (let step = 0; step < 2000; step += 1) {
        now += dice.whole(0, 3);
        const lane: Lane = dice.whole(0, 4) === 0 ? 'probe' : 'normal';
        const act = dice.whole(0, 9);
        if (act < 5) {
          const ticket = enter(queue, step, { lane, now, limit: LIMIT, ageMs: AGE_MS });
          expect(ticket === null).toBe(all().length >= LIMIT);
          if (ticket !== null) model[lane].push(ticket);
        } else if (act < 6) {
          model[lane].unshift(enterFirst(queue, step, { lane, now, ageMs: AGE_MS }));
        } else if (act < 8) {
          const someone = all()[dice.whole(0, all().length)];
          if (someone !== undefined) {
            expect([leave(queue, someone), leave(queue, someone)]).toEqual([true, false]);
            model[someone.lane] = model[someone.lane].filter((each) => each !== someone);
          }
        } else {
          const late = expire(queue, now);
          for (const each of LANES) model[each] = model[each].filter((one) => !late.includes(one));
          expect(late.every(({ deadline, waiting }) => deadline <= now && !waiting)).toBe(true);
          expect(all().every(({ deadline }) => deadline > now)).toBe(true);
        }
        expect(queue.size).toBe(all().length);
        expect(nextDeadline(queue)).toBe(Math.min(Infinity, ...all().map((each) => each.deadline)));
        for (const each of LANES)
          expect(listOf(queue.lanes[each].first)).toEqual(model[each].map(idOf));
        for (const each of LANES)
          expect(queue.lanes[each].last ?? undefined).toBe(model[each].at(-1));
      }
    },
  );

  test('counts waits in the buckets of the protocol', () => {
    const book = createQueueBook();
    for (const wait of [0, 5, 5.1, 10_000, 10_001]) countWait(book, wait);
    const last = DURATION_BOUNDS_MS.length;
    expect([book.waits[0], book.waits[1], book.waits[last - 1], book.waits[last]]).toEqual([
      2, 1, 1, 1,
    ]);
    expect(book.waitSumMs).toBeCloseTo(20_011.1);
  });
});

// --- internal ---

function idOf({ item }: Ticket<number>): number {
  return item;
}

function listOf(first: Ticket<number> | null): number[] {
  const items: number[] = [];
  for (let ticket = first; ticket !== null; ticket = ticket.behind) items.push(ticket.item);
  return items;
}

/** Recycling a pool again and again while clients ask: what every recycle test has in common. */
import { expect } from 'vitest';
import type { LogEvent, RunningCofferdam } from './cofferdam.ts';
import { addTally, emptyTally, failureClasses, NO_FAILURES, type Tally } from './tally.ts';

/** The issue asks for at least fifty: a race that hits one recycle in twenty must not slip through. */
export const RECYCLES = 50;

/** Fifty recycles take 10 to 25 s on two idle cores; CI is slower. */
export const RECYCLE_TEST_MS = 180_000;

/** One recycle with its drain, on a machine that does other things as well. */
const ROUND_MS = 60_000;

/** Asks for rolling recycles (SIGUSR2), one round after the other, until there were so many. */
export async function recycleTimes(pool: RunningCofferdam, count = RECYCLES): Promise<LogEvent[]> {
  const recycled = (): number => pool.told('recycled').length;
  const before = recycled();
  while (recycled() - before < count) {
    const target = recycled() + 2;
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled', target, ROUND_MS);
  }
  return pool.events.filter(({ event }) => event === 'recycled').slice(before);
}

/** For load generators that end by themselves: they are started again until the recycles are over. */
export async function recycleUnder(
  pool: RunningCofferdam,
  load: () => Promise<Tally>,
): Promise<{ tally: Tally; recycles: LogEvent[] }> {
  const tally = emptyTally();
  const over = new AbortController();
  const loads = (async () => {
    while (!over.signal.aborted) addTally(tally, await load());
  })();
  const recycles = await recycleTimes(pool);
  over.abort();
  await loads;
  return { tally, recycles };
}

/** Every class of failure is zero, and there were answers at all, from more than two workers. */
export function expectNothingLost(tally: Tally): void {
  expect(failureClasses(tally)).toEqual(NO_FAILURES);
  expect(tally.ok).toBeGreaterThan(100);
}

/** No recycle had to cut a request or kill a worker. */
export function expectCleanRecycles(recycles: readonly LogEvent[], count = RECYCLES): void {
  expect(recycles.length).toBeGreaterThanOrEqual(count);
  const sum = (field: string): number =>
    recycles.reduce((total, event) => total + Number(event[field] ?? 0), 0);
  expect({ cutRequests: sum('cutRequests'), killed: sum('killed') }).toEqual({
    cutRequests: 0,
    killed: 0,
  });
}

/** The order of promise 1: the new worker was ready before the old one was recycled, each time. */
export function expectMakeBeforeBreak(events: readonly LogEvent[]): void {
  const readySince = new Map<number, number>();
  for (const { event, slot, generation } of events) {
    if (event === 'worker_ready') readySince.set(Number(slot), Number(generation));
    if (event === 'recycled') {
      expect(readySince.get(Number(slot))).toBeGreaterThan(Number(generation));
    }
  }
}

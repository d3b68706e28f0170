/** Watches every step of a game: judges each effect, then compares its book with control's. */
import { totals, workersOf, type PoolState } from '../../src/control/pool.ts';
import type { Effect, PoolEvent } from '../../src/control/types.ts';
import { createBook, hear, rule, usedBytes, type Book } from './book.ts';
import { judge } from './rules.ts';
import type { Scenario } from './scenario.ts';

/** What went into a step and what came out. */
export interface Step {
  readonly event: PoolEvent;
  readonly now: number;
  readonly state: PoolState;
  readonly effects: readonly Effect[];
  /** Something was due before the event came, since the timer was late. */
  readonly overdue: boolean;
}

export interface Referee {
  /** Call after each step; throws a Foul. */
  readonly watch: (step: Step) => void;
  readonly book: Book;
}

export type RefereeOptions = Pick<Scenario, 'policy' | 'latenessMs' | 'isHoused'>;

export function createReferee({ policy, latenessMs, isHoused }: RefereeOptions): Referee {
  const book = createBook(policy, latenessMs);
  return {
    book,
    watch({ event, now, state, effects, overdue }) {
      hear(book, event, now);
      for (const effect of effects) judge(book, effect, event, now);
      checkDeadlines(book, now);
      checkCounters(book, state);
      if (isHoused !== true) checkBudget(book, state);
      checkDemand(book, state);
      if (event.type === 'suspended' && !overdue) checkSuspension(book, effects, now);
    },
  };
}

/** Whether every slot serves under the newest configuration and nothing is under way. */
export function isAtRest(state: PoolState): boolean {
  const workers = workersOf(state);
  const slots = new Set(workers.map(({ slot }) => slot));
  return (
    state.trial === null &&
    slots.size === state.size &&
    workers.length === state.size &&
    workers.every(
      ({ state: name, slot, epoch, responsive }) =>
        // One in a surplus slot stays until the others serve.
        name === 'ready' && slot <= state.size && epoch === state.epoch && responsive,
    ) &&
    totals(state).recyclesInProgress === 0
  );
}

// --- internal ---

function checkDeadlines(book: Book, now: number): void {
  for (const { id, goneBy } of book.live.values()) {
    if (now > goneBy) rule(false, `worker ${id} should have been gone by ${goneBy}`);
  }
  rule(book.ended || now <= book.stopBy, `the stop should have ended by ${book.stopBy}`);
}

/** Whoever reads the last word on the budget knows whether it holds. */
function checkBudget(book: Book, state: PoolState): void {
  const { budgetBytes } = book.policy;
  if (budgetBytes === 0 || state.phase.type !== 'running') return;
  const used = usedBytes(book);
  rule(used <= budgetBytes || book.overBudget, `${used} bytes are above the budget, untold`);
}

/** Nobody waits for a pool that sleeps. */
function checkDemand(book: Book, state: PoolState): void {
  const { strategy } = book.policy;
  if (strategy === 'static' || state.phase.type !== 'running' || state.fittedAt === null) return;
  rule(book.waiting === 0 || state.size > 0, `${book.waiting} requests wait for nobody`);
  const slots = strategy === 'dynamic' ? book.policy.workersMin : 0;
  rule(state.size >= Math.min(slots, 1), 'a dynamic pool has no worker');
  rule(state.epoch === book.epoch, `epoch ${state.epoch} rules, not ${book.epoch}`);
}

function checkCounters(book: Book, state: PoolState): void {
  const { recyclesInProgress, recycles, crashes, bootFailures, ready } = totals(state);
  const { live, open } = book;
  if (state.phase.type === 'running') {
    rule(recyclesInProgress === open.size, `${recyclesInProgress} recycles, not ${open.size}`);
  }
  rule(state.workers.size === live.size, `${state.workers.size} workers, not ${live.size}`);
  rule(crashes === book.crashed, `${crashes} crashes, not ${book.crashed}`);
  // The boot failure that ends the whole start is told by the outcome only.
  const untold = book.everReady || (state.phase.type !== 'failed' && !book.ended) ? 0 : 1;
  const bootFailed = book.bootFailed + untold;
  rule(
    bootFailures === bootFailed || bootFailures === book.bootFailed,
    `${bootFailures} boot failures, not ${bootFailed}`,
  );
  let done = -recycles.scale_down;
  for (const count of Object.values(recycles)) done += count;
  rule(done === book.recycled, `${done} recycles done, not ${book.recycled}`);
  let serving = 0;
  for (const entry of live.values()) {
    if (entry.readyAt !== null && entry.drainedAt === null && entry.termAt === null) {
      if (!entry.killed) serving += 1;
    }
  }
  rule(ready === serving, `${ready} ready workers, not ${serving}`);
}

/** A worker that became old meanwhile may be replaced; nobody may be blamed for the gap. */
function checkSuspension(book: Book, effects: readonly Effect[], now: number): void {
  const slotOf = (worker: number): number => book.live.get(worker)?.slot ?? 0;
  /** Whose end was decided for another reason. */
  const excused = new Set<number>();
  let size = Infinity;
  for (const effect of effects) {
    if (effect.type === 'drain') excused.add(effect.worker);
    // Who still boots in a place that is not needed any more is sent away without a drain.
    if (effect.type === 'tell' && effect.told.event === 'scaled') size = effect.told.to;
    // One that makes room for something urgent is not cut for the gap: that was judged already.
    if (effect.type === 'cut' && now < (book.live.get(effect.worker)?.longCutAt ?? -Infinity)) {
      excused.add(effect.worker);
    }
    const blamed =
      effect.type === 'signal' || effect.type === 'cut'
        ? !excused.has(effect.worker) && slotOf(effect.worker) <= size
        : effect.type === 'tell' && BLAME.has(effect.told.event);
    rule(!blamed, 'a worker pays for the suspension of its supervisor');
  }
}

const BLAME = new Set(['unresponsive', 'boot_failed']);

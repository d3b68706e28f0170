/**
 * The one loop: signals, messages, exits, timers and samples only enqueue; a turn lets control
 * decide on everything that is queued, with one `now`, and then performs the effects.
 */
import { createPool, nextDeadline, step, type PoolState } from '../control/pool.ts';
import type { Effect, Policy, PoolEvent } from '../control/types.ts';

export interface LoopOptions {
  readonly policy: Policy;
  perform(effect: Effect): void;
  /** What the pool has to know first in every turn; null = nothing new. */
  news?(): PoolEvent | null;
  /** A turn is over: what the pool is like from `now` on. */
  turned?(state: PoolState, now: number): void;
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  random(): number;
}

export interface Loop {
  enqueue(event: PoolEvent): void;
  state(): PoolState;
  /** When it turned last. */
  turnedAt(): number;
  stop(): void;
}

/** The longest time without a turn. */
const TURN_INTERVAL_MS = 1000;

/**
 * So long between two turns means that we did not run (SIGSTOP, a paused VM, a laptop lid), not
 * that the workers did not. Below it, the shortest unresponsive timeout (3 s) leaves time for a
 * report.
 */
const SUSPENDED_MS = 2 * TURN_INTERVAL_MS;

export function createLoop(options: LoopOptions): Loop {
  let state = createPool(options.policy);
  let queue: PoolEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;
  let turnAt = options.now();
  let stopped = false;

  const turn = (): void => {
    immediate = undefined;
    if (stopped) return;
    const now = options.now();
    const gapMs = now - turnAt;
    const events = queue;
    queue = [];
    const effects: Effect[] = [];
    const take = (event: PoolEvent, at: number): void => {
      const result = step(state, event, at, () => options.random());
      state = result.state;
      effects.push(...result.effects);
    };
    if (gapMs > SUSPENDED_MS) take({ type: 'suspended', gapMs }, now);
    turnAt = now;
    // All news first, as if it came before the next deadline: when we are the late ones, a worker
    // whose report lies in the queue behind others was not silent.
    const newsAt = Math.min(now, (nextDeadline(state) ?? Number.POSITIVE_INFINITY) - 1);
    const first = options.news?.() ?? null;
    for (const event of first === null ? events : [first, ...events]) take(event, newsAt);
    take({ type: 'tick' }, now);
    for (const effect of effects) options.perform(effect);
    options.turned?.(state, now);
    arm();
  };

  const arm = (): void => {
    clearTimeout(timer);
    if (stopped || immediate !== undefined) return;
    const deadline = nextDeadline(state) ?? Number.POSITIVE_INFINITY;
    const waitMs = Math.max(0, Math.min(deadline - options.now(), TURN_INTERVAL_MS));
    timer = setTimeout(turnSoon, Math.ceil(waitMs));
  };

  /** First read what came in: whoever was late to listen must not blame others for silence. */
  const turnSoon = (): void => {
    immediate ??= setImmediate(turn);
  };

  arm();
  return {
    enqueue(event) {
      if (stopped) return;
      queue.push(event);
      turnSoon();
    },
    state: () => state,
    turnedAt: () => turnAt,
    stop() {
      stopped = true;
      clearTimeout(timer);
      clearImmediate(immediate);
    },
  };
}

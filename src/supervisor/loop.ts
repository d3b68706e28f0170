/**
 * The one loop: signals, messages, exits, timers and samples only enqueue; a turn lets control
 * decide on everything that is queued, with one `now`, and then performs the effects.
 */
import { createPool, nextDeadline, step, type PoolState } from '../control/pool.ts';
import type { Effect, Policy, PoolEvent } from '../control/types.ts';

export interface LoopOptions {
  readonly policy: Policy;
  perform(effect: Effect): void;
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
 * A turn that comes so much later than it should means that we did not run (SIGSTOP, a paused VM, a
 * laptop lid), not that the workers did not.
 */
const SUSPENDED_MS = 3000;

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
    turnAt = now;
    const events = queue;
    queue = [];
    if (gapMs > SUSPENDED_MS) events.unshift({ type: 'suspended', gapMs });
    events.push({ type: 'tick' });
    const effects: Effect[] = [];
    for (const event of events) {
      const result = step(state, event, now, () => options.random());
      state = result.state;
      effects.push(...result.effects);
    }
    for (const effect of effects) options.perform(effect);
    options.turned?.(state, now);
    arm();
  };

  const arm = (): void => {
    clearTimeout(timer);
    if (stopped || immediate !== undefined) return;
    const deadline = nextDeadline(state) ?? Number.POSITIVE_INFINITY;
    const waitMs = Math.max(0, Math.min(deadline - options.now(), TURN_INTERVAL_MS));
    timer = setTimeout(turn, Math.ceil(waitMs));
  };

  arm();
  return {
    enqueue(event) {
      if (stopped) return;
      queue.push(event);
      immediate ??= setImmediate(turn);
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

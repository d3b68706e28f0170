/** What a seed plays: settings, the character of the app, and what people do to it meanwhile. */
import type { Policy } from '../../src/control/types.ts';
import type { Dice } from './dice.ts';

export const MEBIBYTE = 1024 * 1024;

/** How likely each misfortune is for one worker, 0..1, and the numbers of the app. */
export interface Nature {
  readonly spawnFails: number;
  readonly bootThrows: number;
  readonly bootExits: number;
  readonly bootHangs: number;
  readonly bootNeedsRetry: number;
  readonly crashes: number;
  readonly crashLoops: number;
  readonly blocks: number;
  readonly ignoresTerm: number;
  readonly neverDrains: number;
  readonly slowRequests: number;
  readonly longLived: number;
  readonly exitsInDrain: number;
  readonly crashesInDrain: number;
  /** It has a burst, and then no visitors any more. */
  readonly idles: number;
  /** It closes its channel, as with `process.disconnect()`. */
  readonly disconnects: number;
  /** In each sample: one of its requests runs past the deadline. */
  readonly overruns: number;
  readonly bootMs: number;
  readonly requestsPerSecond: number;
  readonly floorBytes: number;
  readonly slopeBytes: number;
}

export type Action =
  | { readonly type: 'reload'; readonly policy: Policy; readonly isJoint: boolean }
  | { readonly type: 'scale'; readonly slots: number }
  | { readonly type: 'recycle'; readonly slot: number | null }
  | { readonly type: 'suspend'; readonly gapMs: number }
  | { readonly type: 'noise' }
  | { readonly type: 'stop'; readonly mode: 'graceful' | 'now' }
  /** From here on the app is healthy, and everything must come right by itself. */
  | { readonly type: 'heal'; readonly policy: Policy; readonly withinMs: number };

export interface Scenario {
  readonly policy: Policy;
  readonly nature: Nature;
  readonly actions: readonly { readonly at: number; readonly action: Action }[];
  readonly reportMs: number;
  readonly sampleMs: number;
  /** How late the supervisor's timer fires at most. */
  readonly latenessMs: number;
  /** How likely the first worker of all is spared, 0..1: most games would end with it otherwise. */
  readonly luckyFirst: number;
  /** It shares its budget with other pools, and is told of them by the house. */
  readonly isHoused?: boolean;
  /** Workers of these configurations do not boot. */
  readonly badEpochs?: ReadonlySet<number>;
}

export const HEALTHY: Nature = {
  spawnFails: 0,
  bootThrows: 0,
  bootExits: 0,
  bootHangs: 0,
  bootNeedsRetry: 0,
  crashes: 0,
  crashLoops: 0,
  blocks: 0,
  ignoresTerm: 0,
  neverDrains: 0,
  slowRequests: 0,
  longLived: 0,
  exitsInDrain: 0,
  crashesInDrain: 0,
  idles: 0,
  disconnects: 0,
  overruns: 0,
  bootMs: 500,
  requestsPerSecond: 20,
  floorBytes: 50 * MEBIBYTE,
  slopeBytes: 0,
};

export function drawScenario(dice: Dice): Scenario {
  const policy = drawPolicy(dice);
  const playMs = dice.between(5_000, 120_000);
  const actions: { at: number; action: Action }[] = [];
  const busy = dice.whole(0, 12);
  for (let count = 0; count < busy; count += 1) {
    actions.push({ at: dice.between(0, playMs), action: drawAction(dice, policy) });
  }
  if (dice.chance(0.4)) {
    const calm = calmPolicy(drawPolicy(dice));
    const withinMs = healMs(policy, calm);
    actions.push({ at: playMs, action: { type: 'heal', policy: calm, withinMs } });
  } else {
    const mode = dice.chance(0.85) ? 'graceful' : 'now';
    actions.push({ at: playMs, action: { type: 'stop', mode } });
  }
  if (dice.chance(0.2)) {
    const at = playMs + dice.between(0, 2 * policy.drainTimeoutMs);
    actions.push({ at, action: { type: 'stop', mode: dice.pick(['graceful', 'now']) } });
  }
  return {
    policy,
    nature: drawNature(dice),
    actions,
    reportMs: dice.pick([500, 1000, 2000]),
    sampleMs: dice.pick([1000, 1000, 3000]),
    latenessMs: dice.pick([0, 0, 5, 100]),
    luckyFirst: 0.9,
  };
}

/** Nothing but memory moves such a pool: for games about leaks. */
export function leakyPolicy(dice: Dice, workers: number, budgetBytes: number): Policy {
  return {
    ...drawPolicy(dice),
    maxRequests: 0,
    maxMemoryBytes: 0,
    maxAgeMs: 0,
    roomBytes: 0,
    budgetBytes,
    workers,
    workersMin: workers,
    workersMax: workers,
    gate: 1,
    surge: 1,
    bootTimeoutMs: 60_000,
    drainTimeoutMs: 10_000,
    longDrainTimeoutMs: 10_000,
    killTimeoutMs: 5000,
    minAgeMs: dice.pick([5000, 10_000]),
    predict: true,
    fitWorkers: false,
    strategy: 'static',
  };
}

export function drawPolicy(dice: Dice): Policy {
  const workersMin = dice.whole(1, 2);
  const workersMax = workersMin + dice.whole(0, 4);
  const drainTimeoutMs = dice.pick([0, 1000, 5000, 10_000]);
  return {
    workers: dice.whole(workersMin, workersMax),
    workersMin,
    workersMax,
    maxRequests: dice.pick([0, 0, 50, 200, 1000]),
    exactRequests: dice.pick([false, true]),
    jitter: dice.pick([0, 0.1, 0.5]),
    maxMemoryBytes: dice.pick([0, 0, 40, 100, 200]) * MEBIBYTE,
    memorySoftShare: dice.pick([0.5, 0.8, 1]),
    maxAgeMs: dice.pick([0, 0, 0, 5000, 20_000]),
    gate: dice.pick([1, 1, 1, 2, 3]),
    surge: dice.pick([0, 1, 1, 1, 2]),
    bootTimeoutMs: dice.pick([2000, 5000, 10_000]),
    drainTimeoutMs,
    longDrainTimeoutMs: drainTimeoutMs + dice.pick([0, 5000, 20_000]),
    killTimeoutMs: dice.pick([0, 500, 2000, 5000]),
    shutdownDelayMs: dice.pick([0, 0, 1000, 10_000]),
    unresponsiveTimeoutMs: dice.pick([0, 4000, 10_000]),
    budgetBytes: dice.pick([0, 150, 300, 600]) * MEBIBYTE,
    roomBytes: dice.pick([0, 0, 150]) * MEBIBYTE,
    minAgeMs: dice.pick([1000, 10_000]),
    predict: dice.chance(0.7),
    heal: dice.chance(0.7),
    fitWorkers: dice.chance(0.3),
    strategy: dice.pick(['static', 'static', 'dynamic', 'ondemand']),
    spare: dice.whole(0, 2),
    idleTimeoutMs: dice.pick([1000, 5000, 20_000]),
    concurrency: dice.pick([0, 0, 1, 4]),
  };
}

/** Each misfortune is either absent or frequent, so that each seed has a character of its own. */
export function drawNature(dice: Dice): Nature {
  const maybe = (most: number): number => (dice.chance(0.25) ? dice.between(0, most) : 0);
  return {
    spawnFails: maybe(0.2),
    bootThrows: maybe(0.6),
    bootExits: maybe(0.6),
    bootHangs: maybe(0.4),
    bootNeedsRetry: maybe(0.8),
    crashes: maybe(0.8),
    crashLoops: maybe(0.8),
    blocks: maybe(0.6),
    ignoresTerm: maybe(1),
    neverDrains: maybe(0.6),
    slowRequests: maybe(0.6),
    longLived: maybe(1),
    exitsInDrain: maybe(0.5),
    overruns: maybe(0.004),
    crashesInDrain: maybe(0.5),
    idles: maybe(1),
    disconnects: maybe(0.5),
    bootMs: dice.pick([100, 1000, 4000]),
    requestsPerSecond: dice.pick([0, 5, 50, 300]),
    floorBytes: dice.pick([30, 50, 90]) * MEBIBYTE,
    slopeBytes: dice.pick([0, 0.01, 0.1, 1]) * MEBIBYTE,
  };
}

// --- internal ---

function drawAction(dice: Dice, policy: Policy): Action {
  const slot = dice.chance(0.4) ? null : dice.whole(0, policy.workersMax + 1);
  return dice.pick<() => Action>([
    () => ({
      type: 'reload',
      policy: dice.chance(0.5) ? policy : drawPolicy(dice),
      isJoint: dice.chance(0.5),
    }),
    () => ({ type: 'scale', slots: dice.whole(0, policy.workersMax + 1) }),
    () => ({ type: 'scale', slots: dice.whole(1, policy.workersMax) }),
    () => ({ type: 'recycle', slot }),
    () => ({ type: 'recycle', slot: null }),
    () => ({ type: 'suspend', gapMs: dice.whole(1, 90_000) }),
    () => ({ type: 'noise' }),
    () => ({ type: 'noise' }),
  ])();
}

/** Without limits nothing is due once the reload is through, so the pool must come to rest. */
function calmPolicy(policy: Policy): Policy {
  const off = { maxRequests: 0, maxMemoryBytes: 0, maxAgeMs: 0, budgetBytes: 0, roomBytes: 0 };
  return { ...policy, ...off, heal: false, unresponsiveTimeoutMs: 4000, strategy: 'static' };
}

/** Upper bound of the time in which one slot after the other comes right. */
function healMs(before: Policy, after: Policy): number {
  const longest = (key: 'bootTimeoutMs' | 'killTimeoutMs' | 'longDrainTimeoutMs'): number =>
    Math.max(before[key], after[key], 10_000);
  const perSlot =
    longest('bootTimeoutMs') +
    longest('longDrainTimeoutMs') +
    30_000 +
    3 * longest('killTimeoutMs');
  return (after.workersMax + 4) * perSlot;
}

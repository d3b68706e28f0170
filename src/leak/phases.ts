/**
 * The phases of an experiment on one app, in their order: warm-up, rest, load, rest (and both again
 * where the app kept something), identical requests, slow ones.
 */
import { whyBrake } from './brake.ts';
import { explainLosses } from './early-end.ts';
import type { JudgeOptions } from './finding.ts';
import type { Lane, LaneOptions } from './lane.ts';
import { LOOK_SIZES } from './look.ts';
import type { ProfileNode } from './probe-messages.ts';
import { needsSecondLoad } from './resting.ts';
import { needsMoreSlow, SLOW_SAMPLES } from './slow.ts';
import { SLOW_PHASES } from './series.ts';
import type { SlowPhase } from './series.ts';
import type { Target } from './target.ts';
import { judge } from './verdict.ts';
import type { Verdict } from './verdict.ts';

export interface PhaseOptions extends LaneOptions {
  /** For warm-up and load together; all other phases come on top. */
  readonly durationMs: number;
  /** Stop the load after so many requests; null = by time alone. */
  readonly maxRequests: number | null;
  readonly thorough: boolean;
  readonly restMs: number;
  /** For each of the two slow phases; 0 = none. */
  readonly slowMs: number;
  readonly onProgress: (progress: Progress) => void;
  /** Ends the load early; what was seen is still judged. */
  readonly signal: AbortSignal;
}

export interface Progress {
  readonly phase: string;
  readonly requests: number;
  readonly floorBytes: number;
  /** Live slope of the heap, with its interval; null before there is one. */
  readonly slope: { readonly slope: number; readonly low: number; readonly high: number } | null;
  readonly leftMs: number;
}

/** Where the allocations of a phase begin. */
export interface Mark {
  readonly profile: ProfileNode | null;
  /** Answered until then. */
  readonly requests: number;
}

export type Marks = Partial<Record<'load' | SlowPhase, Mark>>;

/** One sample in 32 KiB: fourteen for half a megabyte that leaked, and no cost above the noise. */
export const PROFILE_INTERVAL_BYTES = 32 * 1024;

/**
 * Warm-up gets at most this share of the time, or of the requests: a curve that never settles is
 * what we look for.
 */
export const WARM_UP_SHARE = 0.25;

/**
 * Plays them all, until one of them fails, or tells why the load had to be stopped. `marks` fills
 * up meanwhile.
 */
export async function playPhases(
  lane: Lane,
  options: PhaseOptions,
  marks: Marks,
): Promise<string | null> {
  const plan = openPlan(lane, options);
  await warmUp(lane, plan, options);
  await rest(lane, plan, options, 'rest before');
  marks.load = { profile: await startProfile(lane.target), requests: lane.answered() };
  await load(lane, plan, options);
  if (plan.brake() !== null) return plan.brake();
  await rest(lane, plan, options, 'rest');
  await loadAgain(lane, plan, options);
  await compareIdentical(lane, plan, options);
  for (const phase of SLOW_PHASES) {
    if (plan.brake() !== null || options.slowMs === 0) return null;
    // One by one, requests without an answer would each take their whole time.
    if (explainLosses(lane.failures(), lane.answered()) !== null) return null;
    marks[phase] = { profile: await readProfile(lane.target), requests: lane.answered() };
    await slow(phase, lane, plan, options);
  }
  return null;
}

export async function startProfile(target: Target): Promise<ProfileNode | null> {
  try {
    await target.ask({ type: 'profile_start', intervalBytes: PROFILE_INTERVAL_BYTES });
  } catch {
    // Without a profile the snapshots still name the holder.
    return null;
  }
  return readProfile(target);
}

/** What is known in any phase; the load adds its slope and the time that is left. */
export function progressOf(lane: Lane, phase: string): Progress {
  const floorBytes = lane.samples.at(-1)?.heapBytes ?? 0;
  return { phase, requests: lane.answered(), floorBytes, slope: null, leftMs: 0 };
}

// --- internal ---

/** Checkpoints of a rest, of the one before the load, and of the identical URLs. */
const REST_SAMPLES = { 'rest before': 5, rest: 10, 'rest again': 5 } as const;
const IDENTICAL_SAMPLES = 12;

/**
 * A heap of a thousand V8 contexts takes seconds to collect: the phases after the load would take
 * longer than it did, and the search for its code is still to come.
 */
const AFTER_LIMIT_MS = 20_000;

function openLimit(limitMs: number): () => number {
  const end = performance.now() + limitMs;
  return () => Math.max(0, end - performance.now());
}

interface Plan {
  /** Milliseconds that are left for warm-up and load. */
  readonly left: () => number;
  readonly over: () => boolean;
  /** Why nothing more may be sent; remembered, for the memory of the machine changes. */
  readonly brake: () => string | null;
  readonly tell: (phase: string, verdict?: Verdict) => void;
}

function openPlan(lane: Lane, options: PhaseOptions): Plan {
  const left = openLimit(options.durationMs);
  const enough = (): boolean =>
    options.maxRequests !== null && lane.answered() >= options.maxRequests;
  let brake: string | null = null;
  return {
    left,
    brake: () => (brake ??= whyBrake(lane.samples)),
    over: () => left() === 0 || enough() || options.signal.aborted || lane.target.death() !== null,
    tell(phase, verdict) {
      const look = verdict?.findings.find(({ signal }) => signal === 'heap')?.looks.at(-1);
      const progress = progressOf(lane, phase);
      options.onProgress({ ...progress, slope: look?.line ?? null, leftMs: left() });
    },
  };
}

function finalOf({ thorough }: PhaseOptions): JudgeOptions {
  return { thorough, final: true, died: false };
}

async function readProfile(target: Target): Promise<ProfileNode | null> {
  try {
    const reply = await target.ask({ type: 'profile' });
    return reply.type === 'profile' ? reply.head : null;
  } catch {
    return null;
  }
}

async function warmUp(lane: Lane, plan: Plan, options: PhaseOptions): Promise<void> {
  const end = plan.left() * (1 - WARM_UP_SHARE);
  const most = (options.maxRequests ?? Infinity) * WARM_UP_SHARE;
  do {
    plan.tell('warm-up');
    if ((await lane.warmUp(plan.left())) || plan.brake() !== null) return;
  } while (!plan.over() && plan.left() > end && lane.answered() < most);
}

async function load(lane: Lane, plan: Plan, options: PhaseOptions): Promise<void> {
  let count = 0;
  let verdict: Verdict | undefined;
  while (!plan.over() && plan.brake() === null) {
    await lane.step('load', plan.left());
    count += 1;
    const look = LOOK_SIZES.find((size) => size === count);
    if (look !== undefined || count % PREVIEW_EVERY === 0) {
      verdict = judge(lane.samples, { ...finalOf(options), final: false });
    }
    plan.tell('load', verdict);
    if (lane.target.death() !== null) return;
    if (look !== undefined && verdict !== undefined && isCertain(verdict, count)) return;
  }
}

/** The live slope is fresh enough, and judging all is not free. */
const PREVIEW_EVERY = 5;

/** A calm verdict waits for the look at which the smallest visible leak is near its floor. */
const CALM_LOOK = 80;

function isCertain(verdict: Verdict, count: number): boolean {
  if (verdict.kind === 'leak') return true;
  return verdict.kind !== 'undecided' && count >= CALM_LOOK;
}

/** Time instead of requests: timers that pile up, stores that expire, work that ends late. */
async function rest(
  lane: Lane,
  plan: Plan,
  { restMs, signal }: PhaseOptions,
  phase: keyof typeof REST_SAMPLES,
): Promise<void> {
  if (restMs === 0) return;
  const left = openLimit(restMs + AFTER_LIMIT_MS);
  for (let i = 0; i < REST_SAMPLES[phase] && !signal.aborted && left() > 0; i++) {
    plan.tell(phase);
    await lane.rest(restMs / REST_SAMPLES.rest, phase);
  }
}

/** What comes after the load ends with its own time, with Ctrl-C, or before the app does. */
function isOpen(plan: Plan, { signal }: PhaseOptions, left: () => number): boolean {
  return left() > 0 && !signal.aborted && plan.brake() === null;
}

/** The app keeps at rest what the load left: does as much come with as many requests once more? */
async function loadAgain(lane: Lane, plan: Plan, options: PhaseOptions): Promise<void> {
  const final = finalOf(options);
  if (!needsSecondLoad(judge(lane.samples, final), lane.samples, final)) return;
  const first = lane.samples.find(({ phase }) => phase === 'load')?.requests ?? 0;
  const end = 2 * lane.answered() - first;
  const left = openLimit(options.durationMs);
  while (lane.answered() < end && isOpen(plan, options, left)) {
    plan.tell('load again');
    await lane.step('load again', left());
  }
  await rest(lane, plan, options, 'rest again');
}

/** A leak that unique URLs found: does it also grow when every request is the same? */
async function compareIdentical(lane: Lane, plan: Plan, options: PhaseOptions): Promise<void> {
  const { kind, rate } = judge(lane.samples, finalOf(options));
  if (!lane.unique || kind !== 'leak' || rate?.per === 'second') return;
  const left = openLimit(AFTER_LIMIT_MS);
  for (let i = 0; i < IDENTICAL_SAMPLES && isOpen(plan, options, left); i++) {
    plan.tell('identical requests');
    await lane.step('identical', left());
  }
}

/** Requests that never overlap; again so many where they grow, for a second look. */
async function slow(
  phase: SlowPhase,
  lane: Lane,
  plan: Plan,
  options: PhaseOptions,
): Promise<void> {
  const final = finalOf(options);
  const before = judge(lane.samples, final);
  const left = openLimit(2 * options.slowMs + AFTER_LIMIT_MS);
  await lane.setSlow(phase);
  for (let i = 0; i < 2 * SLOW_SAMPLES && isOpen(plan, options, left); i++) {
    if (i === SLOW_SAMPLES && !needsMoreSlow(phase, before, lane.samples, final)) break;
    plan.tell(phase);
    await lane.step(phase, options.slowMs / SLOW_SAMPLES);
  }
  await lane.setSlow(null);
}

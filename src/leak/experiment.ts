/**
 * The experiment on one app: warm-up, looks that double until the verdict is certain or the time is
 * up, rest, identical URLs, and the search for the culprit.
 */
import { freemem } from 'node:os';
import { explainEnd, judgeEarly } from './early-end.ts';
import type { EarlyEnd } from './early-end.ts';
import { findCulprit } from './culprit.ts';
import type { Culprit } from './culprit.ts';
import { openLane } from './lane.ts';
import type { Lane, LaneOptions } from './lane.ts';
import { LOOK_SIZES } from './look.ts';
import type { ProfileNode } from './probe-messages.ts';
import type { Sample } from './series.ts';
import { startTarget } from './target.ts';
import type { Death, Target, TargetOptions } from './target.ts';
import { judge } from './verdict.ts';
import type { Verdict } from './verdict.ts';

export interface ExperimentOptions extends LaneOptions {
  readonly target: TargetOptions;
  /** For warm-up and load together; rest and search come on top. */
  readonly durationMs: number;
  /** Stop the load after so many requests; null = by time alone. */
  readonly maxRequests: number | null;
  readonly thorough: boolean;
  readonly restMs: number;
  /** Whether to search for the code that leaks. */
  readonly name: boolean;
  /** Folder that keeps the snapshots; null = they are deleted. */
  readonly snapshotFolder: string | null;
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

export interface Outcome {
  readonly verdict: Verdict;
  readonly samples: readonly Sample[];
  readonly culprit: Culprit | null;
  readonly death: Death | null;
  readonly node: string;
  readonly unique: boolean;
  readonly ratePerSecond: number;
  readonly requests: number;
  readonly failures: ReturnType<Lane['failures']>;
  readonly latency: { readonly p50Ms: number; readonly p99Ms: number };
  readonly elapsedMs: number;
}

/** One sample in 32 KiB: fourteen for half a megabyte that leaked, and no cost above the noise. */
export const PROFILE_INTERVAL_BYTES = 32 * 1024;

/**
 * Warm-up gets at most this share of the time, or of the requests: a curve that never settles is
 * what we look for.
 */
export const WARM_UP_SHARE = 0.25;

export async function runExperiment(options: ExperimentOptions): Promise<Outcome> {
  const startedAt = performance.now();
  const target = await startTarget(options.target);
  try {
    const lane = await openLane(target, options);
    const plan = openPlan(lane, options, startedAt);
    const { profile, broken, end } = await runPhases(lane, plan, options);
    const died = broken || target.death() !== null;
    const seen = judge(lane.samples, { thorough: options.thorough, final: true, died });
    const verdict = judgeEarly(seen, end);
    const outcome = { ...describe(lane, startedAt), verdict };
    const isWanted = options.name && verdict.kind === 'leak' && !options.signal.aborted;
    if (!isWanted) return { ...outcome, culprit: null };
    plan.tell('search for the code');
    const last = lane.samples.at(-1);
    const isSwollen =
      last !== undefined &&
      (last.heapUsedBytes > SWOLLEN_BYTES || last.externalBytes > SWOLLEN_EXTERNAL_BYTES);
    const culprit =
      died || isSwollen
        ? await searchAnew(verdict, options)
        : await findCulprit(lane, verdict, profile, options);
    return { ...outcome, culprit, elapsedMs: performance.now() - startedAt };
  } finally {
    await target.stop();
  }
}

// --- internal ---

function describe(lane: Lane, startedAt: number): Omit<Outcome, 'verdict' | 'culprit'> {
  return {
    samples: lane.samples,
    death: lane.target.death(),
    node: lane.target.node,
    unique: lane.unique,
    ratePerSecond: lane.ratePerSecond(),
    requests: lane.answered(),
    failures: lane.failures(),
    latency: lane.latency(),
    elapsedMs: performance.now() - startedAt,
  };
}

interface Ran {
  readonly profile: ProfileNode | null;
  /** It died, or is about to: of its heap, of its descriptors. */
  readonly broken: boolean;
  readonly end: EarlyEnd;
}

async function runPhases(lane: Lane, plan: Plan, options: ExperimentOptions): Promise<Ran> {
  let profile: ProfileNode | null = null;
  try {
    await warmUp(lane, plan, options);
    profile = await startProfile(lane.target);
    await load(lane, plan, options);
    if (isNearDeath(lane.samples)) return { profile, broken: true, end: null };
    await rest(lane, plan, options);
    await compareIdentical(lane, plan, options);
    const isDead = lane.target.death() !== null;
    return { profile, broken: isDead, end: isDead ? await explainEnd(lane.target, null) : null };
  } catch (error) {
    // What was seen until then is still judged.
    const end = await explainEnd(lane.target, error);
    const broken = lane.target.death() !== null || isNearDeath(lane.samples);
    return { profile, broken, end };
  }
}

/**
 * The app that was measured is dead, or dying: a fresh one shows who, before it goes the same way.
 */
async function searchAnew(verdict: Verdict, options: ExperimentOptions): Promise<Culprit | null> {
  const target = await startTarget(options.target);
  try {
    const lane = await openLane(target, options);
    lane.setRate(SEARCH_RATE);
    const profile = await startProfile(target);
    return await findCulprit(lane, verdict, profile, options);
  } catch {
    // It died again, or answers no more: the verdict stands without a name.
    return null;
  } finally {
    await target.stop();
  }
}

/** Three snapshots of a heap above it take minutes; those of a fresh process take seconds. */
const SWOLLEN_BYTES = 64 * 2 ** 20;

/** Each of its buffers hangs from sockets and streams, and the search would add as many again. */
const SWOLLEN_EXTERNAL_BYTES = 256 * 2 ** 20;

/** Below the rate at which the search takes its small steps. */
const SEARCH_RATE = 30;

/** Checkpoints of the rest phase and of the identical URLs. */
const REST_SAMPLES = 10;
const IDENTICAL_SAMPLES = 12;

/**
 * A heap of a thousand V8 contexts takes seconds to collect: the phases after the load would take
 * longer than it did, and the search for its code is still to come.
 */
const AFTER_LIMIT_MS = 20_000;

function openLimit(limitMs: number): () => boolean {
  const end = performance.now() + limitMs;
  return () => performance.now() > end;
}

interface Plan {
  readonly left: () => number;
  readonly over: () => boolean;
  readonly tell: (phase: string, verdict?: Verdict) => void;
}

function openPlan(lane: Lane, options: ExperimentOptions, startedAt: number): Plan {
  const left = (): number => Math.max(0, options.durationMs - (performance.now() - startedAt));
  const enough = (): boolean =>
    options.maxRequests !== null && lane.answered() >= options.maxRequests;
  return {
    left,
    over: () => left() === 0 || enough() || options.signal.aborted || lane.target.death() !== null,
    tell(phase, verdict) {
      const look = verdict?.findings.find(({ signal }) => signal === 'heap')?.looks.at(-1);
      options.onProgress({
        phase,
        requests: lane.answered(),
        floorBytes: lane.samples.at(-1)?.heapBytes ?? 0,
        slope: look?.line ?? null,
        leftMs: left(),
      });
    },
  };
}

async function warmUp(lane: Lane, plan: Plan, options: ExperimentOptions): Promise<void> {
  const end = plan.left() * (1 - WARM_UP_SHARE);
  const most = (options.maxRequests ?? Infinity) * WARM_UP_SHARE;
  do {
    plan.tell('warm-up');
    if ((await lane.warmUp()) || isNearDeath(lane.samples)) return;
  } while (!plan.over() && plan.left() > end && lane.answered() < most);
}

async function startProfile(target: Target): Promise<ProfileNode | null> {
  try {
    await target.ask({ type: 'profile_start', intervalBytes: PROFILE_INTERVAL_BYTES });
    const reply = await target.ask({ type: 'profile' });
    return reply.type === 'profile' ? reply.head : null;
  } catch {
    // Without a profile the snapshots still name the holder.
    return null;
  }
}

async function load(lane: Lane, plan: Plan, options: ExperimentOptions): Promise<void> {
  let count = 0;
  let verdict: Verdict | undefined;
  while (!plan.over() && !isNearDeath(lane.samples)) {
    await lane.step('load');
    count += 1;
    const look = LOOK_SIZES.find((size) => size === count);
    if (look !== undefined || count % PREVIEW_EVERY === 0) {
      verdict = judge(lane.samples, { thorough: options.thorough, final: false, died: false });
    }
    plan.tell('load', verdict);
    if (lane.target.death() !== null) return;
    if (look !== undefined && verdict !== undefined && isCertain(verdict, count)) return;
  }
}

/** Past it, a leak is beyond doubt, and the search for it needs the app alive. */
const BRAKE_SHARE = 0.6;

/** Growth of the whole process that no warm-up explains; more would only load the machine. */
const BRAKE_BYTES = 2 ** 30;

/** So fast a leak shall kill neither the app before it is named, nor the machine. */
function isNearDeath(samples: readonly Sample[]): boolean {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return false;
  const { descriptors, descriptorLimit, heapUsedBytes, heapLimitBytes } = last;
  const share = descriptors === null ? 0 : descriptors / (descriptorLimit ?? Infinity);
  const grown = last.rssBytes - first.rssBytes;
  // Half of what is free belongs to the others on this machine.
  const room = Math.min(BRAKE_BYTES, (freemem() + grown) / 2);
  return heapUsedBytes / heapLimitBytes > BRAKE_SHARE || share > BRAKE_SHARE || grown > room;
}

/** The live slope is fresh enough, and judging all is not free. */
const PREVIEW_EVERY = 5;

/** A calm verdict waits for the look at which the smallest visible leak is near its floor. */
const CALM_LOOK = 80;

function isCertain(verdict: Verdict, count: number): boolean {
  if (verdict.kind === 'leak') return true;
  return verdict.kind !== 'undecided' && count >= CALM_LOOK;
}

/** Time instead of requests: timers that pile up, stores that expire. */
async function rest(lane: Lane, plan: Plan, options: ExperimentOptions): Promise<void> {
  const isLate = openLimit(options.restMs + AFTER_LIMIT_MS);
  for (let i = 0; i < REST_SAMPLES && !options.signal.aborted && !isLate(); i++) {
    plan.tell('rest');
    await lane.rest(options.restMs / REST_SAMPLES);
  }
}

/** A leak that unique URLs found: does it also grow when every request is the same? */
async function compareIdentical(lane: Lane, plan: Plan, options: ExperimentOptions): Promise<void> {
  const final = { thorough: options.thorough, final: true, died: false };
  const { kind, rate } = judge(lane.samples, final);
  if (!lane.unique || kind !== 'leak' || rate?.per === 'second') return;
  const isLate = openLimit(AFTER_LIMIT_MS);
  for (let i = 0; i < IDENTICAL_SAMPLES && !options.signal.aborted && !isLate(); i++) {
    plan.tell('identical requests');
    await lane.step('identical');
  }
}

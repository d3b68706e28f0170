/**
 * A/B: the same load on several arms (another app, another Node, another flag or variable), their
 * batches in turn, so that a busy machine disturbs all of them alike.
 */
import { basename, extname, resolve } from 'node:path';
import { CofferdamError } from '../errors.ts';
import { whyBrake } from './brake.ts';
import { explainEnd, explainLosses, judgeEarly } from './early-end.ts';
import type { EarlyEnd } from './early-end.ts';
import type { ExperimentOptions } from './experiment.ts';
import { toldLine } from './finding.ts';
import { openLane } from './lane.ts';
import type { Lane } from './lane.ts';
import { LOOK_SIZES } from './look.ts';
import { WARM_UP_SHARE } from './phases.ts';
import type { Progress } from './phases.ts';
import { SIGNALS, subtract } from './series.ts';
import type { Line, Sample, Signal } from './series.ts';
import { startTarget } from './target.ts';
import type { Death, Target, TargetOptions } from './target.ts';
import { judge } from './verdict.ts';
import type { Verdict } from './verdict.ts';

export interface Arm {
  readonly name: string;
  readonly target: TargetOptions;
}

export interface ArmOutcome {
  readonly name: string;
  readonly node: string;
  readonly verdict: Verdict;
  /** How it ended, when it did. */
  readonly death: Death | null;
  /** Why we stopped loading it before the others; null = we did not. */
  readonly stopped: string | null;
  readonly samples: readonly Sample[];
  readonly requests: number;
  readonly rates: Readonly<Partial<Record<Signal, Line>>>;
  /** Slope less that of the first arm, with the interval of the difference. */
  readonly differences: Readonly<Partial<Record<Signal, Line>>>;
}

/**
 * `name=…` where … holds variables (`HTTP2=off`), options of Node (`--max-semi-space-size=1`), a
 * Node binary (`/opt/node24/bin/node`), or another app (`other.js`), separated by spaces.
 */
export function parseArm(text: string, base: TargetOptions): Arm {
  const match = /^([\w.-]{1,40})=(.*)$/s.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new CofferdamError('COF_BAD_VALUE', `--arm ${JSON.stringify(text)} has no name`, {
      hint: "Write --arm name='VARIABLE=value --node-option other.js'; each part may be left out.",
    });
  }
  let target = base;
  for (const word of match[2].split(/\s+/).filter(Boolean)) {
    const variable = /^([A-Za-z_]\w*)=(.*)$/s.exec(word);
    if (variable?.[1] !== undefined) {
      target = { ...target, env: { ...target.env, [variable[1]]: variable[2] } };
    } else if (word.startsWith('-')) {
      target = { ...target, nodeArgs: [...target.nodeArgs, word] };
    } else if (basename(word).startsWith('node') && extname(word) === '') {
      target = { ...target, node: word.includes('/') ? resolve(target.cwd, word) : word };
    } else {
      target = { ...target, app: resolve(target.cwd, word) };
    }
  }
  return { name: match[1], target };
}

export async function runArms(
  arms: readonly Arm[],
  options: Omit<ExperimentOptions, 'target'>,
): Promise<ArmOutcome[]> {
  const startedAt = performance.now();
  const targets: Target[] = [];
  try {
    const lanes: ArmLane[] = [];
    for (const { name, target: wanted } of arms) {
      const lane = await naming(name, async () => {
        const target = await startTarget(wanted);
        targets.push(target);
        return openLane(target, options);
      });
      lanes.push({ name, lane, end: null, stopped: null });
    }
    const left = (): number => options.durationMs - (performance.now() - startedAt);
    const tell = (phase: string): void => options.onProgress(progressOf(phase, lanes, left()));
    const most = (options.maxRequests ?? Infinity) * WARM_UP_SHARE;
    await warmUpAll(lanes, tell, left, () => {
      if (options.signal.aborted || lanes.every(({ lane }) => lane.answered() >= most))
        return false;
      return left() > options.durationMs * (1 - WARM_UP_SHARE);
    });
    // The slowest arm sets the pace: only equal loads can be compared.
    const rate = Math.min(...lanes.map(({ lane }) => lane.ratePerSecond()));
    for (const { lane } of lanes) lane.setRate(rate);
    await loadAll(lanes, options, tell, left);
    return conclude(lanes, options.thorough);
  } finally {
    await Promise.all(targets.map((target) => target.stop()));
  }
}

// --- internal ---

/** Arms are compared by their numbers: a second look is enough, even where nothing leaks. */
const ARM_LOOK = LOOK_SIZES[1];

interface ArmLane {
  readonly name: string;
  readonly lane: Lane;
  /** An arm that dies, or answers no more, ends its own series only. */
  end: EarlyEnd;
  /** So does one that we stopped before it would have. */
  stopped: string | null;
}

/** Whose fault it is, when one of several apps does not start. */
async function naming<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CofferdamError)) throw error;
    const { code, message, hint, cause } = error;
    throw new CofferdamError(code, `arm ${name}: ${message}`, { hint, cause });
  }
}

function progressOf(phase: string, lanes: readonly ArmLane[], leftMs: number): Progress {
  return {
    phase,
    requests: lanes.reduce((sum, { lane }) => sum + lane.answered(), 0),
    floorBytes: lanes[0]?.lane.samples.at(-1)?.heapBytes ?? 0,
    slope: null,
    leftMs: Math.max(0, leftMs),
  };
}

function isOver({ end, stopped }: ArmLane): boolean {
  return end !== null || stopped !== null;
}

/** A step of one arm; `otherwise` when it is over. */
async function attempt<Result>(
  arm: ArmLane,
  work: (lane: Lane) => Promise<Result>,
  otherwise: Result,
): Promise<Result> {
  if (isOver(arm)) return otherwise;
  try {
    const result = await work(arm.lane);
    arm.stopped = whyBrake(arm.lane.samples);
    return result;
  } catch (error) {
    arm.end = await explainEnd(arm.lane.target, error);
    return otherwise;
  }
}

async function warmUpAll(
  lanes: readonly ArmLane[],
  tell: (phase: string) => void,
  left: () => number,
  hasTime: () => boolean,
): Promise<void> {
  let settled = 0;
  while (settled < lanes.length) {
    settled = 0;
    for (const arm of lanes) {
      tell('warm-up');
      if (await attempt(arm, (lane) => lane.warmUp(left()), true)) settled += 1;
    }
    if (!hasTime()) return;
  }
}

async function loadAll(
  lanes: readonly ArmLane[],
  options: Omit<ExperimentOptions, 'target'>,
  tell: (phase: string) => void,
  left: () => number,
): Promise<void> {
  const enough = (): boolean =>
    lanes.every(({ lane }) => lane.answered() >= (options.maxRequests ?? Infinity));
  for (let count = 1; left() > 0 && !options.signal.aborted && !enough(); count++) {
    for (const arm of lanes) {
      tell('load');
      await attempt<unknown>(arm, (lane) => lane.step('load', left()), null);
    }
    if (lanes.every(isOver)) return;
    const isLook = count >= ARM_LOOK && LOOK_SIZES.some((size) => size === count);
    if (isLook && lanes.every((arm) => isCertain(arm, options.thorough))) return;
  }
}

function isCertain(arm: ArmLane, thorough: boolean): boolean {
  const { lane } = arm;
  if (isOver(arm)) return true;
  return judge(lane.samples, { thorough, final: false, died: false }).kind !== 'undecided';
}

function conclude(lanes: readonly ArmLane[], thorough: boolean): ArmOutcome[] {
  const outcomes: ArmOutcome[] = [];
  for (const { name, lane, end, stopped } of lanes) {
    const died = stopped !== null || lane.target.death() !== null;
    const losses = explainLosses(lane.failures(), lane.answered());
    const seen = judge(lane.samples, { thorough, final: true, died });
    const verdict = judgeEarly(seen, end ?? losses);
    const rates: Partial<Record<Signal, Line>> = {};
    const differences: Partial<Record<Signal, Line>> = {};
    for (const signal of SIGNALS) {
      const finding = verdict.findings.find((one) => one.signal === signal);
      const line = finding === undefined ? null : toldLine(finding);
      if (line === null) continue;
      rates[signal] = line;
      const first = outcomes[0]?.rates[signal];
      if (first !== undefined) differences[signal] = subtract(line, first);
    }
    outcomes.push({
      name,
      node: lane.target.node,
      verdict,
      death: lane.target.death(),
      stopped,
      samples: lane.samples,
      requests: lane.answered(),
      rates,
      differences,
    });
  }
  return outcomes;
}

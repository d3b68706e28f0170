/**
 * A/B: the same load on several arms (another app, another Node, another flag or variable), their
 * batches in turn, so that a busy machine disturbs all of them alike.
 */
import { basename, extname, resolve } from 'node:path';
import { CofferdamError } from '../errors.ts';
import type { ExperimentOptions, Progress } from './experiment.ts';
import { openLane } from './lane.ts';
import type { Lane } from './lane.ts';
import { LOOK_SIZES } from './look.ts';
import { SIGNALS } from './series.ts';
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
    for (const { target } of arms) targets.push(await startTarget(target));
    const lanes: Lane[] = [];
    for (const target of targets) lanes.push(await openLane(target, options));
    const left = (): number => options.durationMs - (performance.now() - startedAt);
    const tell = (phase: string): void => options.onProgress(progressOf(phase, lanes, left()));
    await warmUpAll(lanes, tell, () => left() > options.durationMs * (1 - WARM_UP_SHARE));
    // The slowest arm sets the pace: only equal loads can be compared.
    const rate = Math.min(...lanes.map((lane) => lane.ratePerSecond()));
    for (const lane of lanes) lane.setRate(rate);
    await loadAll(lanes, options, tell, left);
    return conclude(arms, lanes, options.thorough);
  } finally {
    await Promise.all(targets.map((target) => target.stop()));
  }
}

// --- internal ---

const WARM_UP_SHARE = 0.25;

/** Arms are compared by their numbers: a second look is enough, even where nothing leaks. */
const ARM_LOOK = LOOK_SIZES[1];

function progressOf(phase: string, lanes: readonly Lane[], leftMs: number): Progress {
  return {
    phase,
    requests: lanes.reduce((sum, lane) => sum + lane.answered(), 0),
    floorBytes: lanes[0]?.samples.at(-1)?.heapBytes ?? 0,
    slope: null,
    leftMs: Math.max(0, leftMs),
  };
}

async function warmUpAll(
  lanes: readonly Lane[],
  tell: (phase: string) => void,
  hasTime: () => boolean,
): Promise<void> {
  let settled = 0;
  while (settled < lanes.length) {
    settled = 0;
    for (const lane of lanes) {
      tell('warm-up');
      if (await lane.warmUp()) settled += 1;
    }
    if (!hasTime()) return;
  }
}

async function loadAll(
  lanes: readonly Lane[],
  options: Omit<ExperimentOptions, 'target'>,
  tell: (phase: string) => void,
  left: () => number,
): Promise<void> {
  for (let count = 1; left() > 0 && !options.signal.aborted; count++) {
    for (const lane of lanes) {
      tell('load');
      if (lane.target.death() === null) await lane.step('load').catch(rethrowUnlessDead(lane));
    }
    if (lanes.every((lane) => lane.target.death() !== null)) return;
    const isLook = count >= ARM_LOOK && LOOK_SIZES.some((size) => size === count);
    if (isLook && lanes.every((lane) => isCertain(lane, options.thorough))) return;
  }
}

/** An arm that dies ends its own series only. */
function rethrowUnlessDead(lane: Lane): (error: unknown) => void {
  return (error) => {
    if (lane.target.death() === null) throw error;
  };
}

function isCertain(lane: Lane, thorough: boolean): boolean {
  const died = lane.target.death() !== null;
  return died || judge(lane.samples, { thorough, final: false, died }).kind !== 'undecided';
}

function conclude(arms: readonly Arm[], lanes: readonly Lane[], thorough: boolean): ArmOutcome[] {
  const outcomes: ArmOutcome[] = [];
  for (const [at, lane] of lanes.entries()) {
    const died = lane.target.death() !== null;
    const verdict = judge(lane.samples, { thorough, final: true, died });
    const rates: Partial<Record<Signal, Line>> = {};
    const differences: Partial<Record<Signal, Line>> = {};
    for (const signal of SIGNALS) {
      const line = verdict.findings
        .find((finding) => finding.signal === signal)
        ?.looks.at(-1)?.line;
      if (line === undefined) continue;
      rates[signal] = line;
      const first = outcomes[0]?.rates[signal];
      if (first !== undefined) differences[signal] = subtract(line, first);
    }
    outcomes.push({
      name: arms[at]?.name ?? String(at),
      node: lane.target.node,
      verdict,
      death: lane.target.death(),
      samples: lane.samples,
      requests: lane.answered(),
      rates,
      differences,
    });
  }
  return outcomes;
}

/** Independent arms: half-widths add by their squares. */
function subtract(line: Line, first: Line): Line {
  const slope = line.slope - first.slope;
  const below = Math.hypot(line.slope - line.low, first.high - first.slope);
  const above = Math.hypot(line.high - line.slope, first.slope - first.low);
  return { slope, low: slope - below, high: slope + above, intercept: 0 };
}

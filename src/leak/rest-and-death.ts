/**
 * The two verdicts that need no look under load: growth at rest, and an app that died of its
 * growth.
 */
import { OPEN, floorsOf, rateOf } from './finding.ts';
import type { Finding, JudgeOptions, Rate, Verdict } from './finding.ts';
import { FLOORS, takeLook } from './look.ts';
import type { Floors } from './look.ts';
import { SIGNALS, hasExactNative, pointsOf, valueOf } from './series.ts';
import type { Sample, Signal } from './series.ts';

/** Growth without any request. */
export interface Idle {
  readonly signal: Signal;
  readonly rate: Rate;
  /** A line with a bend accuses nobody, but tells what a leak under load comes from. */
  readonly isStraight: boolean;
}

/** Growth without any request: per second. Null when there is none, or nothing was measured. */
export function judgeRest(samples: readonly Sample[], options: JudgeOptions): Idle | null {
  const rest = samples.filter((sample) => sample.phase === 'rest');
  if (rest.length < REST_LEAST_POINTS) return null;
  for (const signal of SIGNALS) {
    // What is left over of RSS drifts by itself when idle; only an exact walk may speak.
    if (signal === 'native' && !hasExactNative(samples)) continue;
    const counted = floorsOf(signal, samples, options.thorough).slope < 1;
    const points = rest.flatMap((sample) => {
      const y = valueOf(sample, signal);
      return y === null ? [] : [{ x: sample.atMs / 1000, y }];
    });
    const look = takeLook(points, counted ? REST_COUNT_FLOORS : REST_FLOORS, 1);
    if (look?.class !== 'linear' && look?.class !== 'slowing') continue;
    return { signal, rate: rateOf(look.told, 'second'), isStraight: look.class === 'linear' };
  }
  return null;
}

/** Growth under load that idle growth explains by itself is no growth per request. */
export function explainsLoad(
  idle: Idle,
  samples: readonly Sample[],
  findings: readonly Finding[],
): boolean {
  const finding = findings.find(({ signal }) => signal === idle.signal);
  const look = finding?.looks.at(-1);
  if (finding?.state !== 'leaks' || look === undefined) return idle.isStraight;
  const load = samples.filter((sample) => sample.phase === 'load');
  const seconds = ((load.at(-1)?.atMs ?? 0) - (load[0]?.atMs ?? 0)) / 1000;
  const requests = (load.at(-1)?.requests ?? 0) - (load[0]?.requests ?? 0);
  return idle.rate.slope * seconds >= 0.5 * look.line.slope * requests;
}

/**
 * The verdict on an app that ended, or was too slow, before the first look: only enormous growth
 * counts.
 */
export function judgeDeath(all: readonly Sample[], died: boolean): Verdict {
  const samples = all.filter(({ phase }) => phase === 'warm-up' || phase === 'load');
  const findings = FATAL.map((signal) => examineDeath(signal, samples, died));
  const leaking = findings.find(({ state }) => state === 'leaks');
  const [look] = leaking?.looks ?? [];
  if (leaking !== undefined && look !== undefined) {
    const rate = rateOf(look.told, 'request');
    return { ...OPEN, kind: 'leak', signal: leaking.signal, rate, findings };
  }
  const because = died ? 'the app died before enough was measured' : 'too few checkpoints';
  return { ...OPEN, findings, because };
}

// --- internal ---

/** Idle growth below this, per second, is what V8 and timers of Node do by themselves. */
const REST_FLOORS: Floors = { slope: 2048, growth: 96 * 1024 };

const REST_COUNT_FLOORS: Floors = { slope: 0.5, growth: 5 };

/** Rest checkpoints are few and dear (a second each), and forced collections make them quiet. */
const REST_LEAST_POINTS = 8;

const FATAL = ['descriptors', 'contexts', 'heap', 'external', 'native'] as const;

const isCounted = (signal: (typeof FATAL)[number]): signal is 'descriptors' | 'contexts' =>
  signal === 'descriptors' || signal === 'contexts';

function examineDeath(
  signal: (typeof FATAL)[number],
  samples: readonly Sample[],
  died: boolean,
): Finding {
  const floors = isCounted(signal) ? FLOORS[signal] : DEATH_FLOORS;
  const look = takeLook(pointsOf(samples, signal), floors, 1);
  if (look === null) return { signal, looks: [], visible: null, state: 'unmeasured' };
  const grew = look.growth >= floors.growth && look.line.low > floors.slope;
  // One that still lives may only have a lot to warm up: then the line has to be straight.
  const leaks = grew && (died || look.class === 'linear');
  // So few checkpoints rule out great growth only, and what they can see is told with them.
  const state = leaks ? 'leaks' : grew ? 'unsure' : 'flat';
  return { signal, looks: [look], visible: look.visible, state };
}

/** So much growth in one warm-up is beyond any JIT or pool: the app died of it. */
const DEATH_FLOORS: Floors = { slope: 1024, growth: 16 * 1024 * 1024 };

/**
 * One look at one signal: the line through the last two thirds of a series, its two halves, and the
 * class that follows. Two consecutive looks make a verdict (see verdict.ts).
 */
import { CONFIDENCE_95, CONFIDENCE_99, fitLine, median } from './series.ts';
import type { Line, Point, Signal } from './series.ts';
import { TABLE_BYTES, tellLine } from './told.ts';

export type LookClass =
  /** Nothing that could matter grows. */
  | 'flat'
  /** It may grow: the interval reaches below the floor. */
  | 'unsure'
  /** It grows, and the second half grows as the first did. */
  | 'linear'
  /** It grew, and does so no more. */
  | 'settled'
  /** It grows, slower and slower: a cache that fills, or a warm-up. */
  | 'slowing';

export interface Look {
  readonly class: LookClass;
  /** Per request (or per second), with its 95 % interval: by it, looks are compared. */
  readonly line: Line;
  /** The same with the interval for print: also what no noise shows (see told.ts). */
  readonly told: Line;
  /** The 99 % interval, on which the class rests. */
  readonly low: number;
  readonly high: number;
  readonly firstHalfSlope: number;
  readonly secondHalfSlope: number;
  /** Growth along the line, over the points that were judged. */
  readonly growth: number;
  /** The smallest slope that this look would have called growth. */
  readonly visible: number;
  readonly points: number;
}

export interface Floors {
  /** What warm-up may still add within the window: widens the printed interval downwards. */
  readonly drift?: number;
  /** What tables may hide, per request; absent where nothing is kept in tables. */
  readonly table?: number;
  /** Slopes below it are nobody's leak, and within what the probe and V8 themselves do. */
  readonly slope: number;
  /** Growth in the window below it is not evidence: feedback vectors alone reach 140 KB. */
  readonly growth: number;
}

/** Floors of the quick procedure, measured on healthy apps (leak-diagnosis.md, 2.1). */
export const FLOORS: Readonly<Record<Signal, Floors>> = {
  heap: { slope: 24, growth: 256 * 1024, drift: 64 * 1024, table: TABLE_BYTES },
  external: { slope: 64, growth: 512 * 1024, drift: 16 * 1024, table: 0 },
  native: { slope: 600, growth: 2 * 1024 * 1024, drift: 256 * 1024, table: 0 },
  descriptors: { slope: 0.02, growth: 10 },
  handles: { slope: 0.02, growth: 10 },
  contexts: { slope: 0.02, growth: 10 },
  listeners: { slope: 0.02, growth: 50 },
};

/** With many more requests per batch the noise per request falls, and so may the floor. */
export const THOROUGH_FLOORS: Readonly<Record<Signal, Floors>> = {
  ...FLOORS,
  heap: { slope: 3, growth: 256 * 1024, drift: 64 * 1024, table: TABLE_BYTES },
  external: { slope: 8, growth: 512 * 1024, drift: 16 * 1024, table: 0 },
};

/** The exact walk of malloc chunks has no RSS noise in it: a tenth of the residual's floor. */
export const EXACT_NATIVE_FLOORS: Floors = {
  slope: 64,
  growth: 512 * 1024,
  drift: 32 * 1024,
  table: 0,
};

/** The first third of a series is settling in, whatever the warm-up did. */
const JUDGED_SHARE = 2 / 3;

/** Fewer points have no interval worth the name: 4 give one of 6 pairs. */
export const LEAST_POINTS = 8;

/** The second half has to keep this share of the first half's slope. */
const LINEAR_SHARE = 0.75;

/** Where the noise is low enough to tell, a loss of a twentieth is a loss. */
const TOLD_SHARE = 0.95;

/** Checkpoints at which a look is taken; each is twice the one before. */
export const LOOK_SIZES = [20, 40, 80, 160, 320, 640] as const;

/** Null when there are too few points to say anything. */
export function takeLook(
  points: readonly Point[],
  floors: Floors,
  judgedShare = JUDGED_SHARE,
): Look | null {
  const judged = points.slice(-Math.max(LEAST_POINTS, Math.round(points.length * judgedShare)));
  const smooth = withoutSteps(judged);
  const middle = judged.length >> 1;
  const narrow = fitLine(judged, CONFIDENCE_95);
  const wide = fitLine(judged, CONFIDENCE_99);
  const first = fitLine(smooth.slice(0, middle), CONFIDENCE_95);
  const second = fitLine(smooth.slice(middle), CONFIDENCE_95);
  if (narrow === null || wide === null || first === null || second === null) return null;
  const span = (judged.at(-1)?.x ?? 0) - (judged[0]?.x ?? 0);
  // A slope that bends is not known better than by its bend, however little noise there is.
  const bend = Math.abs(second.slope - first.slope) / 2;
  const drift = (floors.drift ?? 0) / span;
  const line = { ...narrow, low: narrow.low - bend - drift, high: narrow.high + bend };
  const facts = {
    line,
    told: tellLine(judged, line, bend, { table: floors.table ?? null }),
    low: wide.low,
    high: wide.high,
    firstHalfSlope: first.slope,
    secondHalfSlope: second.slope,
    growth: narrow.slope * span,
    visible: Math.max(floors.slope + (wide.high - wide.low) / 2, floors.growth / span),
    points: judged.length,
  };
  return { class: classify(facts, first, second, floors), ...facts };
}

/** Whether a growth is the same in a later look as in an earlier one. */
export function keepsSlope(previous: Look, last: Look, floor: number): boolean {
  return !isSlower(previous.line, last.line, floor, KEPT_SHARE);
}

// --- internal ---

/**
 * Between two looks a leak keeps this share of its slope; a cache that fills by Zipf loses more.
 */
const KEPT_SHARE = 0.7;

/**
 * Whether `later` is slower than `earlier`: clearly less, or a little less where the intervals
 * leave no doubt. Differences below the floor are JIT and noise, whatever their share.
 */
function isSlower(earlier: Line, later: Line, floor: number, share: number): boolean {
  if (later.slope < share * earlier.slope) return earlier.slope - later.slope > floor;
  return later.high < TOLD_SHARE * earlier.low && earlier.slope - later.slope > floor;
}

type Facts = Omit<Look, 'class'>;

function classify(facts: Facts, first: Line, second: Line, floors: Floors): LookClass {
  const { low, high, growth } = facts;
  if (high < floors.slope) return 'flat';
  // A window too short for the least growth says nothing against a slope above the floor.
  if (growth < floors.growth) return low > floors.slope ? 'unsure' : 'flat';
  if (low <= floors.slope) return 'unsure';
  if (second.slope <= floors.slope) return 'settled';
  return isSlower(first, second, floors.slope, LINEAR_SHARE) ? 'slowing' : 'linear';
}

/** A jump that is so much more than its neighbours is a hash table that doubled. */
const STEP_FACTOR = 8;

/** Two thirds of a series hold at most two doublings. */
const STEPS_LIMIT = 2;

/** A growth that is made of one jump is that jump: do not look for a slope behind it. */
const STEP_SHARE_MAX = 0.5;

/**
 * The same points without the largest upward jumps. A table that doubles in the first half makes
 * the second half look slower; a leak in it is still a leak.
 */
function withoutSteps(points: readonly Point[]): readonly Point[] {
  const steps = points.slice(1).map((point, index) => point.y - (points[index]?.y ?? point.y));
  const usual = median(steps.map(Math.abs));
  const growth = (points.at(-1)?.y ?? 0) - (points[0]?.y ?? 0);
  const jumps = steps
    .map((size, index) => ({ size, index }))
    .filter(({ size }) => size > STEP_FACTOR * usual && size < STEP_SHARE_MAX * growth)
    .sort((a, b) => b.size - a.size)
    .slice(0, STEPS_LIMIT);
  if (jumps.length === 0) return points;
  return points.map((point, at) => {
    const before = jumps.filter(({ index }) => index < at);
    return { x: point.x, y: point.y - before.reduce((sum, { size }) => sum + size - usual, 0) };
  });
}

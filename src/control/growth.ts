/**
 * How the memory of one worker grows with its requests (not with time: traffic varies, the leak of
 * a request does not): Theil-Sen slope with its interval, over a window of bounded size.
 */

/** Bytes per request; `low`..`high` holds the true slope in 95 of 100 cases. */
export interface Slope {
  readonly low: number;
  readonly middle: number;
  readonly high: number;
}

interface Point {
  readonly requests: number;
  readonly memoryBytes: number;
}

interface Beat {
  readonly requests: number;
  readonly at: number;
}

export interface Growth {
  /** Over the whole life of the worker, ever wider apart. */
  readonly points: readonly Point[];
  /** Only every so many samples becomes a point, and so many were passed over since the last. */
  readonly stride: number;
  readonly skipped: number;
  /** The last samples, for the rate of requests. */
  readonly pace: readonly Beat[];
  /** Null until there are points enough. */
  readonly slope: Slope | null;
}

export const NO_GROWTH: Growth = { points: [], stride: 1, skipped: 0, pace: [], slope: null };

/** 276 pairs: sorted in 10 µs, once a second and worker; more would not tell more. */
export const POINTS_MAX = 24;
/** With four points the interval is the whole range of slopes: it says nothing yet. */
export const POINTS_MIN = 5;
/** From here on a worker is judged by itself alone, no more by what its predecessors did. */
export const POINTS_SURE = 10;
/** Seconds over which the rate of requests is taken: shorter would follow every gust. */
const PACE_MAX = 6;
/** Quantile of the normal distribution for an interval of 95 %. */
const Z_95 = 1.96;

/** One more sample. A worker that served nothing since the last one tells nothing new. */
export function grow(growth: Growth, sample: Point & Beat): Growth {
  const { requests, memoryBytes, at } = sample;
  const pace = [...growth.pace, { requests, at }].slice(-PACE_MAX);
  const last = growth.points.at(-1);
  if (last !== undefined && requests <= last.requests) return { ...growth, pace };
  if (growth.skipped + 1 < growth.stride) {
    return { ...growth, pace, skipped: growth.skipped + 1 };
  }
  const all = [...growth.points, { requests, memoryBytes }];
  const full = all.length > POINTS_MAX;
  const points = full ? all.filter((_, index) => index % 2 === 0) : all;
  const stride = full ? growth.stride * 2 : growth.stride;
  return { points, stride, skipped: 0, pace, slope: slopeOf(points) };
}

/** Requests per millisecond: the higher of the last second and the last few. */
export function rateOf({ pace }: Growth): number {
  return Math.max(rateSince(pace, pace.at(-2)), rateSince(pace, pace[0]));
}

/** The same without gusts: over the last few seconds. */
export function steadyRateOf({ pace }: Growth): number {
  return rateSince(pace, pace[0]);
}

/**
 * Bytes per request to reckon with, the careful end of the interval; 0 = it does not grow as far as
 * one can tell. `usual` is what its predecessors grew by, for a worker too young to judge.
 */
export function carefulSlope({ slope, points }: Growth, usual: number): number {
  if (slope !== null && slope.low > 0) return slope.high;
  return points.length < POINTS_SURE ? usual : 0;
}

/** Bytes per request as they are known for sure, not at the careful end; 0 = not at all. */
export function sureSlope({ slope, points }: Growth, usual: number): number {
  if (points.length < POINTS_SURE) return usual;
  return slope !== null && slope.low > 0 ? slope.middle : 0;
}

/** The same growth as if `gapMs` had not passed. */
export function shiftGrowth(growth: Growth, gapMs: number): Growth {
  return { ...growth, pace: growth.pace.map(({ requests, at }) => ({ requests, at: at + gapMs })) };
}

/** Theil-Sen: the median of the slopes of all pairs, and Sen's interval around it. */
export function slopeOf(points: readonly Point[]): Slope | null {
  const count = points.length;
  if (count < POINTS_MIN) return null;
  // An array of numbers only sorts several times as fast as one of anything.
  const pairs = new Float64Array((count * (count - 1)) / 2);
  let filled = 0;
  for (let i = 0; i < count; i += 1) {
    for (let j = i + 1; j < count; j += 1) {
      const requests = points[j]!.requests - points[i]!.requests;
      if (requests <= 0) continue;
      pairs[filled] = (points[j]!.memoryBytes - points[i]!.memoryBytes) / requests;
      filled += 1;
    }
  }
  const slopes = pairs.subarray(0, filled).sort();
  const spread = Z_95 * Math.sqrt((count * (count - 1) * (2 * count + 5)) / 18);
  const at = (rank: number): number =>
    slopes[Math.min(slopes.length - 1, Math.max(0, Math.round(rank)))] ?? 0;
  const middle = (slopes.length - 1) / 2;
  return { low: at(middle - spread / 2), middle: at(middle), high: at(middle + spread / 2) };
}

// --- internal ---

function rateSince(pace: readonly Beat[], first: Beat | undefined): number {
  const last = pace.at(-1);
  if (last === undefined || first === undefined || first.at >= last.at) return 0;
  return Math.max(0, (last.requests - first.requests) / (last.at - first.at));
}

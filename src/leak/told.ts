/**
 * The interval that is told. Noise leaves a slope open by so much; what no noise shows, by more: a
 * table that doubles between two looks, or twice within one, and a request on the wrong side of a
 * checkpoint. An interval narrower than these promises what the method cannot keep. Pure.
 */
import { CONFIDENCE_95, fitLine, median } from './series.ts';
import type { Line, Point } from './series.ts';

/** `table`: bytes per request that tables may hide in this signal; null where none are. */
export interface Blur {
  readonly table: number | null;
}

/**
 * A Map takes 28 B per entry when it is full and 56 B just after it doubled, on the whole 40 B; an
 * array, a Set or an object with many keys is of the same order. A window between two doublings
 * sees nothing of that, one with two of them sees it twice.
 */
export const TABLE_BYTES = 40;

/** Of a thousand requests one may be counted on the wrong side of a checkpoint. */
const COUNTED_SHARE = 0.001;

/** A window between two steps knows the table behind them within half as much again. */
const HIDDEN_DOUBT = 1.5;

/** A table that doubled is twice the step; one that grew by half is thrice, and cheap. */
const STEPS_HELD = 2;

/** A jump of so many deviations is no noise: at 4, one of 16 000 would be. */
const STEP_DEVIATIONS = 4;

/** Of a median of absolute values, what a standard deviation is. */
const DEVIATION_OF_MEDIAN = 1.4826;

/** Widens the line of a look; `bend` is what its halves differ by, which it already has. */
export function tellLine(points: readonly Point[], line: Line, bend: number, blur: Blur): Line {
  const { table } = blur;
  if (table === null) return line;
  const span = (points.at(-1)?.x ?? 0) - (points[0]?.x ?? 0);
  const { smooth, step, hidden } = splitSteps(points);
  const fit = step === null ? null : fitLine(smooth, CONFIDENCE_95);
  const doubt = Math.min(table, (HIDDEN_DOUBT * hidden) / span) + COUNTED_SHARE * line.slope;
  const low = fit === null ? line.low : Math.min(line.low, fit.low - bend);
  const held = step === null ? 0 : (STEPS_HELD * step.y) / step.x;
  const high = fit === null ? line.high : Math.max(line.high, fit.high + bend + held);
  // A table alone does not leak: its doubt never makes a leak look like none.
  return { ...line, low: Math.max(low - doubt, Math.min(line.low, 0)), high: high + doubt };
}

// --- internal ---

interface Steps {
  /** The points without what jumped. */
  readonly smooth: readonly Point[];
  /** The largest of them, at which request; null where nothing grew by jumps. */
  readonly step: Point | null;
  /** The largest jump that the noise would hide. */
  readonly hidden: number;
}

function splitSteps(points: readonly Point[]): Steps {
  const moves = points.slice(1).map((point, at) => {
    const before = points[at] ?? point;
    return { x: point.x - before.x, y: point.y - before.y };
  });
  const usual = median(moves.map(({ x, y }) => y / Math.max(1, x)));
  const excess = moves.map(({ x, y }) => y - usual * x);
  const hidden = STEP_DEVIATIONS * DEVIATION_OF_MEDIAN * median(excess.map(Math.abs));
  const jumps = excess.map((size) => (Math.abs(size) > hidden ? size : 0));
  const largest = jumps.indexOf(Math.max(...jumps));
  // A late collection jumps up and down again: no table does.
  const grew = jumps.reduce((sum, size) => sum + size, 0) > 0;
  const step = grew ? { x: points[largest + 1]?.x ?? 1, y: jumps[largest] ?? 0 } : null;
  let jumped = 0;
  const smooth = points.map((point, at) => {
    jumped += jumps[at - 1] ?? 0;
    return { x: point.x, y: point.y - jumped };
  });
  return { smooth, step, hidden };
}

/** What scaling remembers between two looks at the load. */

export interface Scaling {
  /** When at least so many workers were needed last: place 0 for one worker, 1 for two. */
  readonly neededAt: readonly number[];
  /** How many workers the next step up adds; doubles with each step of one rise. */
  readonly step: number;
  readonly steppedAt: number;
  /** When a worker was sent away last. */
  readonly shrunkAt: number;
  /** Requests that wait for a worker, as last told. */
  readonly waiting: number;
  /** More were needed than there may be, and that was told. */
  readonly capped: boolean;
}

export const NO_SCALING: Scaling = {
  neededAt: [],
  step: 1,
  steppedAt: -Infinity,
  shrunkAt: -Infinity,
  waiting: 0,
  capped: false,
};

/** At `now` so many workers were needed. */
export function noteNeed(scaling: Scaling, need: number, now: number): Scaling {
  const { neededAt } = scaling;
  const isNews = neededAt.length < need || neededAt.slice(0, need).some((at) => at < now);
  if (!isNews) return scaling;
  const length = Math.max(need, neededAt.length);
  return {
    ...scaling,
    neededAt: Array.from({ length }, (_, at) => (at < need ? now : (neededAt[at] ?? now))),
  };
}

/** The same as if `gapMs` had not passed. */
export function shiftScaling(scaling: Scaling, gapMs: number): Scaling {
  const { neededAt, steppedAt, shrunkAt } = scaling;
  return {
    ...scaling,
    neededAt: neededAt.map((at) => at + gapMs),
    steppedAt: steppedAt + gapMs,
    shrunkAt: shrunkAt + gapMs,
  };
}

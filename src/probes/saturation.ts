/** Saturation with hysteresis: a number that swings must not make a probe swing. */

export interface SaturationGate {
  /** Takes the busy share (0..1) of this moment; to be called about once a second. */
  update(busy: number, limits: { readonly high: number; readonly low: number }): void;
  /** Smoothed over seconds. */
  value(): number;
  /** From `high` on, until it is below `low`; never while `high` is 0. */
  saturated(): boolean;
}

/** Weight of the newest second: a burst of two seconds is not saturation. */
const WEIGHT = 0.3;

export function createSaturationGate(): SaturationGate {
  let value = 0;
  let saturated = false;
  return {
    update(busy, { high, low }) {
      value += WEIGHT * (busy - value);
      if (high === 0) saturated = false;
      else if (value >= high) saturated = true;
      else if (value < low) saturated = false;
    },
    value: () => value,
    saturated: () => saturated,
  };
}

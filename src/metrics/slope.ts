/** How fast a value grows: least squares over the last minute of samples, in bounded memory. */

export interface Slope {
  add(atMs: number, value: number): void;
  /** Units per second; 0 until there are enough samples to tell growth from noise. */
  perSecond(): number;
}

/** One sample a second: a minute smooths the sawtooth of the garbage collector. */
const SAMPLES_MAX = 60;

/** Fewer points are mostly the warm-up of the worker. */
const SAMPLES_MIN = 10;

export function createSlope(): Slope {
  const times: number[] = [];
  const values: number[] = [];
  /** Asked for by each scrape and each look of the page, and the same until the next sample. */
  let known: number | null = null;
  return {
    add(atMs, value) {
      known = null;
      times.push(atMs);
      values.push(value);
      if (times.length <= SAMPLES_MAX) return;
      times.shift();
      values.shift();
    },
    perSecond: () => (known ??= fit(times, values)),
  };
}

// --- internal ---

function fit(times: readonly number[], values: readonly number[]): number {
  const count = times.length;
  if (count < SAMPLES_MIN) return 0;
  const meanTime = mean(times);
  const meanValue = mean(values);
  let covariance = 0;
  let variance = 0;
  for (let i = 0; i < count; i += 1) {
    const dt = times[i]! - meanTime;
    covariance += dt * (values[i]! - meanValue);
    variance += dt * dt;
  }
  return variance === 0 ? 0 : (covariance / variance) * 1000;
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

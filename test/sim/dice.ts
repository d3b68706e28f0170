/** Seeded randomness: the same seed always plays the same game. */

export interface Dice {
  /** A number in 0..1. */
  readonly next: () => number;
  readonly chance: (probability: number) => boolean;
  readonly between: (min: number, max: number) => number;
  /** A whole number, both ends included. */
  readonly whole: (min: number, max: number) => number;
  readonly pick: <T>(list: readonly [T, ...T[]]) => T;
}

/** mulberry32: small, fast, good enough to be surprised by. */
export function createDice(seed: number): Dice {
  let state = (seed * 0x9e3779b1) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const between = (min: number, max: number): number => min + (max - min) * next();
  const whole = (min: number, max: number): number => min + Math.floor((max - min + 1) * next());
  return {
    next,
    between,
    whole,
    chance: (probability) => next() < probability,
    pick: (list) => list[whole(0, list.length - 1)] ?? list[0],
  };
}

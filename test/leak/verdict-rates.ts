/** Measures how often the verdict is wrong, over seeded synthetic series. */
import { LOOK_SIZES } from '../../src/leak/look.ts';
import { judge } from '../../src/leak/verdict.ts';
import type { Verdict } from '../../src/leak/verdict.ts';
import { seriesOf } from './synthetic.ts';
import type { Shape } from './synthetic.ts';

/** Goes on look by look as the experiment does, and stops as it stops. */
export function runLooks(
  shape: Shape,
  options: { batch: number; noise: number; seed: number; looks: number; thorough?: boolean },
): { verdict: Verdict; requests: number } {
  const sizes = LOOK_SIZES.slice(0, options.looks);
  const all = seriesOf(shape, { ...options, count: sizes.at(-1) ?? 0 });
  let verdict: Verdict | undefined;
  for (const size of sizes) {
    const samples = all.slice(0, size);
    const final = size === sizes.at(-1);
    verdict = judge(samples, { thorough: options.thorough === true, final, died: false });
    if (verdict.kind === 'leak' || final) return { verdict, requests: size * options.batch };
  }
  throw new Error('no looks');
}

export interface Rates {
  readonly runs: number;
  readonly leak: number;
  readonly undecided: number;
  readonly covered: number;
}

export function rate(
  shape: Shape,
  options: { batch: number; noise: number; looks: number; seeds: number },
): Rates {
  let leak = 0;
  let undecided = 0;
  let covered = 0;
  for (let seed = 1; seed <= options.seeds; seed++) {
    const { verdict } = runLooks(shape, { ...options, seed });
    if (verdict.kind === 'undecided') undecided += 1;
    if (verdict.kind !== 'leak' || verdict.rate === null) continue;
    leak += 1;
    if (verdict.rate.low <= shape.truth && verdict.rate.high >= shape.truth) covered += 1;
  }
  return { runs: options.seeds, leak, undecided, covered };
}

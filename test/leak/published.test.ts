/**
 * The table of docs/leak-corpus.md on synthetic series, and what it promises. With
 * `npm run leak-corpus -- --synthetic` it judges three times as many series and writes the table.
 */
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { HEALTHY, LEAKS, NOISE_BYTES } from './synthetic.ts';
import type { Shape } from './synthetic.ts';
import { rate } from './verdict-rates.ts';
import type { Rates } from './verdict-rates.ts';

const TABLE = process.env['VERDICT_TABLE'];
const SEEDS = TABLE === undefined ? 4 : 30;
const BATCH = 400;
/** Looks after 40, 80 and 160 checkpoints. */
const LOOKS = [2, 3, 4];

function judgeAll(shapes: readonly Shape[]): Rates {
  const all: Rates[] = [];
  for (const shape of shapes) {
    for (const noise of Object.values(NOISE_BYTES)) {
      for (const looks of LOOKS) {
        all.push(rate(shape, { batch: BATCH, noise, looks, seeds: SEEDS }));
      }
    }
  }
  const sum = (pick: (rates: Rates) => number) => all.reduce((total, one) => total + pick(one), 0);
  return {
    runs: sum(({ runs }) => runs),
    leak: sum(({ leak }) => leak),
    undecided: sum(({ undecided }) => undecided),
    covered: sum(({ covered }) => covered),
  };
}

test('no healthy series is accused, no leak is denied, the interval holds the truth', () => {
  const leaks = judgeAll(LEAKS);
  const healthy = judgeAll(HEALTHY);
  if (TABLE !== undefined) writeFileSync(TABLE, tableOf(leaks, healthy));
  expect(healthy.leak).toBe(0);
  expect(leaks.leak + leaks.undecided).toBe(leaks.runs);
  expect(leaks.leak / leaks.runs).toBeGreaterThan(0.9);
  expect(leaks.covered / leaks.leak).toBeGreaterThanOrEqual(0.95);
}, 600_000);

function tableOf(leaks: Rates, healthy: Rates): string {
  const row = (name: string, { runs, leak, undecided }: Rates) =>
    `| ${name} | ${runs} | ${leak} | ${undecided} | ${runs - leak - undecided} |`;
  const share = ((100 * leaks.covered) / leaks.leak).toFixed(1);
  return `${[
    '| | series | said leak | undecided | said no leak |',
    '|---|---|---|---|---|',
    row(`leaks (${LEAKS.length} shapes)`, leaks),
    row(`healthy (${HEALTHY.length} shapes)`, healthy),
    '',
    `The printed interval held the true slope in ${leaks.covered} of ${leaks.leak} (${share} %).`,
  ].join('\n')}\n`;
}

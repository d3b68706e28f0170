import { expect, test } from 'vitest';
import { tooLargeLast } from '../../src/leak/culprit.ts';
import { OPEN } from '../../src/leak/finding.ts';
import type { Rate, Verdict } from '../../src/leak/finding.ts';
import type { Suspect } from '../../src/leak/heap-compare.ts';
import type { Signal } from '../../src/leak/series.ts';

const SIZES = { queue: 4800, ledger: 68, unknown: null, log: 12 };
const SUSPECTS = Object.entries(SIZES).map(
  ([name, bytesPerRequest]) => ({ name, bytesPerRequest }) as Suspect,
);

function orderOf(signal: Signal, per: Rate['per']): string[] {
  const rate = { slope: 70, low: 60, high: 90, per };
  const verdict: Verdict = { ...OPEN, kind: 'leak', signal, rate };
  return tooLargeLast(SUSPECTS, verdict).map(({ name }) => name);
}

test('who holds more than leaks is caught in the air: last', () => {
  expect(orderOf('heap', 'request')).toEqual(['ledger', 'unknown', 'log', 'queue']);
  expect(orderOf('heap', 'connection')).toEqual(['ledger', 'unknown', 'log', 'queue']);
});

test('pieces and seconds bound no bytes per request', () => {
  expect(orderOf('descriptors', 'request')[0]).toBe('queue');
  expect(orderOf('heap', 'second')[0]).toBe('queue');
});

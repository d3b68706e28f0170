/**
 * What stays when nothing happens: the floors at rest before the load, after it, and after a second
 * one. Work that ends seconds after its answer floats above what is kept and hides a leak under
 * load, or looks like one; at rest it is gone. Pure.
 */
import { floorsOf, rateOf } from './finding.ts';
import type { JudgeOptions, Verdict } from './finding.ts';
import { SIGNALS, SIGNAL_WORDS, hasExactNative, median, unitOf, valueOf } from './series.ts';
import type { Phase, Sample, Signal } from './series.ts';
import { formatAmount, formatNumber } from './words.ts';

/** The verdict of the load, with what the floors at rest say of it. */
export function weighAtRest(
  verdict: Verdict,
  samples: readonly Sample[],
  options: JudgeOptions,
): Verdict {
  if (verdict.rate?.per === 'second') return verdict;
  const all = floorsAtRest(samples, options);
  if (verdict.kind === 'leak') return fellBack(verdict, all) ?? verdict;
  const risen = all.find(({ rise, limit }) => rise > limit);
  return risen === undefined ? verdict : judgeRise(verdict, risen);
}

/** Whether only a second load tells a leak from a cache that was filled by the first. */
export function needsSecondLoad(
  verdict: Verdict,
  samples: readonly Sample[],
  options: JudgeOptions,
): boolean {
  if (verdict.kind === 'leak') return false;
  return floorsAtRest(samples, options).some(
    ({ rise, limit, again }) => rise > limit && again === null,
  );
}

// --- internal ---

interface AtRest {
  readonly signal: Signal;
  /** From before the load to after it, and over how many requests. */
  readonly rise: number;
  readonly requests: number;
  /** The same of the second load. */
  readonly again: { readonly rise: number; readonly requests: number } | null;
  /** Below it a rise is what warm-up and noise leave, or a leak too small to be told. */
  readonly limit: number;
  /** What warm-up may still add. */
  readonly drift: number;
}

/** The last samples of a rest: by then what had to end has ended. */
const RESTED = 3;

/** Growth in the judged window, and the third before it that is not judged. */
const LIMIT_OF_GROWTH = 1.5;

function floorsAtRest(samples: readonly Sample[], options: JudgeOptions): AtRest[] {
  const before = rested(samples, 'rest before') ?? rested(samples.slice(0, 1), 'warm-up');
  const after = rested(samples, 'rest');
  const again = rested(samples, 'rest again');
  if (before === null || after === null) return [];
  const requests = after.requests - before.requests;
  if (requests <= 0) return [];
  const signals = SIGNALS.filter(
    (each) => unitOf(each) === 'bytes' && (each !== 'native' || hasExactNative(samples)),
  );
  return signals.map((signal) => {
    const floors = floorsOf(signal, samples, options.thorough);
    const [low, high] = [before.floor(signal), after.floor(signal)];
    return {
      signal,
      rise: high - low,
      requests,
      again:
        again === null
          ? null
          : { rise: again.floor(signal) - high, requests: again.requests - after.requests },
      limit: Math.max(LIMIT_OF_GROWTH * floors.growth, floors.slope * requests),
      drift: floors.drift ?? 0,
    };
  });
}

function rested(samples: readonly Sample[], phase: Phase) {
  const last = samples.filter((sample) => sample.phase === phase).slice(-RESTED);
  const [first] = last;
  if (first === undefined) return null;
  const floor = (signal: Signal): number =>
    median(last.map((sample) => valueOf(sample, signal) ?? 0));
  return { requests: first.requests, floor };
}

/** Of what grew under load, so little stays that it was no leak. */
const KEPT_SHARE_MIN = 0.1;

/** A growth under load of which nothing is left at rest; null when something is. */
function fellBack(verdict: Verdict, all: readonly AtRest[]): Verdict | null {
  let words = '';
  for (const { signal, state, looks } of verdict.findings) {
    if (state !== 'leaks') continue;
    const floor = all.find((each) => each.signal === signal);
    const grown = (looks.at(-1)?.line.slope ?? 0) * (floor?.requests ?? 0);
    if (floor === undefined || floor.rise > Math.min(floor.limit, KEPT_SHARE_MIN * grown)) {
      return null;
    }
    words ||= `${SIGNAL_WORDS[signal]} grew by ${formatAmount(grown, 'bytes')} under load`;
  }
  if (words === '') return null;
  const because = `${words}, and nothing of it was left at rest`;
  return { ...verdict, kind: 'bounded cache', signal: null, rate: null, because };
}

/** A second load that adds this share of what the first did, request for request, is a leak. */
const LEAK_SHARE_MIN = 0.6;
const FULL_SHARE_MAX = 0.3;

function judgeRise(verdict: Verdict, { signal, rise, requests, again, ...rest }: AtRest): Verdict {
  const show = (value: number): string => formatAmount(value, unitOf(signal));
  const slope = rise / requests;
  const what = `${SIGNAL_WORDS[signal]} at rest grew by ${show(rise)}`;
  if (again === null) {
    const doubt = rest.drift / requests;
    const rate = { slope, low: slope - doubt, high: slope + doubt, per: 'request' } as const;
    const because = `${what} in ${formatNumber(requests, 0)} requests`;
    return { ...verdict, kind: 'undecided', signal, rate, because, moreRequests: requests };
  }
  const later = again.rise / Math.max(1, again.requests);
  if (later < FULL_SHARE_MAX * slope || again.rise < rest.limit / 2) {
    return { ...verdict, kind: 'bounded cache', because: `${what}, then stopped` };
  }
  const doubt = rest.drift / Math.max(1, again.requests);
  const line = {
    slope: (rise + again.rise) / (requests + again.requests),
    low: Math.min(slope, later) - doubt,
    high: Math.max(slope, later) + doubt,
    intercept: 0,
  };
  const rate = rateOf(line, 'request');
  if (later >= LEAK_SHARE_MIN * slope) {
    return { ...verdict, kind: 'leak', signal, rate, because: '', moreRequests: null };
  }
  const because = 'still filling';
  return {
    ...verdict,
    kind: 'undecided',
    signal,
    rate,
    because,
    slowing: { was: slope, now: later },
  };
}

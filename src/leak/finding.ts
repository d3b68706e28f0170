/** The words of a verdict: what was found for each signal, and what follows for the app. */
import { EXACT_NATIVE_FLOORS, FLOORS, THOROUGH_FLOORS } from './look.ts';
import type { Floors, Look } from './look.ts';
import { hasExactNative } from './series.ts';
import type { Line, Sample, Signal, SlowPhase } from './series.ts';

export type VerdictKind =
  | 'leak'
  | 'warm-up'
  | 'bounded cache'
  | 'GC sawtooth'
  | 'fragmentation'
  | 'no leak'
  | 'undecided';

/** How fast it grows: bytes (or pieces) per what. Seconds are of idle time. */
export interface Rate {
  readonly slope: number;
  readonly low: number;
  readonly high: number;
  readonly per: 'request' | 'connection' | 'request to an idle app' | 'second';
}

/** What one signal did in a phase of requests that never overlap. */
export interface SlowFinding {
  readonly phase: SlowPhase;
  readonly signal: Signal;
  /** Per request, each on one connection or on its own. */
  readonly line: Line;
  /** The smallest slope that would have been called growth. */
  readonly visible: number;
  /** `grows`: in one look only. */
  readonly state: 'flat' | 'grows' | 'leaks';
}

/** Why a signal is, or is not, the answer. */
export interface Finding {
  readonly signal: Signal;
  readonly looks: readonly Look[];
  /** The smallest leak in this signal that the run could have seen; null with too few points. */
  readonly visible: number | null;
  readonly state: 'leaks' | 'flat' | 'settled' | 'slowing' | 'unsure' | 'unmeasured';
}

export interface Verdict {
  readonly kind: VerdictKind;
  /** The signal that leaks, or that keeps the verdict open. */
  readonly signal: Signal | null;
  readonly rate: Rate | null;
  readonly findings: readonly Finding[];
  /** The same of the slow phases; empty where there were none. */
  readonly slow: readonly SlowFinding[];
  /** Grows with unique URLs only: a cache whose key is the input, without a limit that was met. */
  readonly keyedByInput: boolean;
  /** How many more requests might decide; null when decided, or when nobody can say. */
  readonly moreRequests: number | null;
  /** For a series that still fills: its slope in the first and the second half of the last look. */
  readonly slowing: { readonly was: number; readonly now: number } | null;
  /** One sentence on why it is not a leak, with numbers; empty for a leak. */
  readonly because: string;
}

export interface JudgeOptions {
  /** Lower floors, for runs with many more requests. */
  readonly thorough: boolean;
  /** No more checkpoints will come: judge what is there. */
  readonly final: boolean;
  /** The app died, or was about to: what was seen is all the evidence there will be. */
  readonly died: boolean;
}

/** The floors that apply to a signal in this run. */
export function floorsOf(signal: Signal, samples: readonly Sample[], thorough: boolean): Floors {
  if (signal === 'native' && hasExactNative(samples)) return EXACT_NATIVE_FLOORS;
  return thorough ? THOROUGH_FLOORS[signal] : FLOORS[signal];
}

/** What is told of a signal. Tables only make a doubt where something is kept at all. */
export function toldLine({ looks, state }: Finding): Line | null {
  const look = looks.at(-1);
  if (look === undefined) return null;
  return state === 'leaks' ? look.told : look.line;
}

/** A verdict that says nothing yet: the others are written as what differs from it. */
export const OPEN: Verdict = {
  kind: 'undecided',
  signal: null,
  rate: null,
  findings: [],
  slow: [],
  keyedByInput: false,
  moreRequests: null,
  slowing: null,
  because: '',
};

export function rateOf(line: Line, per: Rate['per']): Rate {
  return { slope: line.slope, low: line.low, high: line.high, per };
}

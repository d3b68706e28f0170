/**
 * Leaks that a busy app hides: per connection, where many requests share one, and per change from
 * idle to busy, where the app is never idle. Two slow phases, in which no request overlaps another,
 * show them: on one connection, and each on a connection of its own. Pure.
 */
import { floorsOf, rateOf, toldLine } from './finding.ts';
import type { Finding, JudgeOptions, Rate, SlowFinding, Verdict } from './finding.ts';
import { keepsSlope, takeLook } from './look.ts';
import { SIGNALS, SLOW_PHASES, pointsOf, subtract } from './series.ts';
import type { Line, Sample, Signal, SlowPhase } from './series.ts';

/** Checkpoints of a slow phase; twice as many where the first of them grow. */
export const SLOW_SAMPLES = 12;

/** The verdict so far, with what the slow phases found. */
export function weighSlow(
  verdict: Verdict,
  samples: readonly Sample[],
  options: JudgeOptions,
): Verdict {
  const slow = SLOW_PHASES.flatMap((phase) => examine(phase, samples, options));
  if (slow.length === 0 || verdict.rate?.per === 'second') return { ...verdict, slow };
  const isLeak = verdict.kind === 'leak';
  for (const signal of SIGNALS) {
    const rate = attribute(signal, verdict.findings, slow, isLeak);
    if (rate === null) continue;
    return { ...verdict, slow, kind: 'leak', signal, rate, ...DECIDED };
  }
  return { ...verdict, slow };
}

/** Whether a slow phase grew more than the load explains, in one look only. */
export function needsMoreSlow(
  phase: SlowPhase,
  verdict: Verdict,
  samples: readonly Sample[],
  options: JudgeOptions,
): boolean {
  if (verdict.kind === 'leak') return false;
  const slow = examine(phase, samples, options);
  return slow.some(({ signal }) => attribute(signal, verdict.findings, slow, true) !== null);
}

/** The phase that shows a leak of this verdict; null = the load. */
export function phaseOf({ rate }: Verdict): SlowPhase | null {
  return SLOW_PHASES.find((phase) => PER[phase] === rate?.per) ?? null;
}

// --- internal ---

const DECIDED = { because: '', moreRequests: null, slowing: null, keyedByInput: false };

/** What one request stands for in each phase. */
const PER = { 'one at a time': 'request to an idle app', 'new connections': 'connection' } as const;

/** Requests one by one have to cost so much more than others before the cause is another one. */
const FACTOR = 3;

/** Of the least growth under load: so few requests, and thousands before them, compile little. */
const GROWTH_SHARE = 0.5;

function examine(
  phase: SlowPhase,
  samples: readonly Sample[],
  options: JudgeOptions,
): SlowFinding[] {
  const taken = samples.filter((sample) => sample.phase === phase);
  return SIGNALS.flatMap((signal) => {
    const usual = floorsOf(signal, samples, options.thorough);
    const floors = { ...usual, growth: usual.growth * GROWTH_SHARE };
    const points = pointsOf(taken, signal);
    const first = takeLook(points.slice(0, SLOW_SAMPLES), floors);
    if (first === null) return [];
    const last = points.length > SLOW_SAMPLES ? takeLook(points, floors) : null;
    const grows = first.class === 'linear';
    const keeps = last !== null && keepsSlope(first, last, floors.slope / 2);
    const isSure = grows && last?.class === 'linear' && keeps;
    const { told, visible } = last ?? first;
    return [
      { phase, signal, line: told, visible, state: isSure ? 'leaks' : grows ? 'grows' : 'flat' },
    ];
  });
}

/** What the growth of one signal costs, and per what; null when it is as the load says. */
function attribute(
  signal: Signal,
  findings: readonly Finding[],
  slow: readonly SlowFinding[],
  once: boolean,
): Rate | null {
  const finding = findings.find((each) => each.signal === signal);
  const steady = (finding === undefined ? null : toldLine(finding)) ?? NOTHING;
  const idle = slow.find((each) => each.signal === signal && each.phase === 'one at a time');
  const fresh = slow.find((each) => each.signal === signal && each.phase === 'new connections');
  const exceeds = (found: SlowFinding | undefined, than: readonly Line[]): boolean => {
    if (found === undefined || !(found.state === 'leaks' || (once && found.state === 'grows'))) {
      return false;
    }
    return than.every((line) => found.line.low > FACTOR * Math.max(0, line.high));
  };
  if (fresh !== undefined && exceeds(fresh, [steady, idle?.line ?? NOTHING])) {
    return rateOf(subtract(fresh.line, idle?.line ?? steady), PER[fresh.phase]);
  }
  if (idle !== undefined && exceeds(idle, [steady])) {
    return rateOf(subtract(idle.line, steady), PER[idle.phase]);
  }
  return null;
}

const NOTHING: Line = { slope: 0, low: 0, high: 0, intercept: 0 };

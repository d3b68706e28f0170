/** What a report says of each signal: what grows beside the answer, what is open, what is not. */
import { toldLine } from './finding.ts';
import type { Finding, Rate, SlowFinding, Verdict } from './finding.ts';
import { SIGNAL_WORDS, unitOf } from './series.ts';
import type { Line, Signal, SlowPhase } from './series.ts';
import { formatAmount, formatNumber } from './words.ts';

/** A line for each signal that is not the answer. */
export interface Findings {
  /** They leak as well: mostly what the answer carries along. */
  readonly growsToo: readonly string[];
  readonly uncertain: readonly string[];
  readonly ruledOut: readonly string[];
}

export function describeFindings(verdict: Verdict): Findings {
  const others = verdict.findings.filter(
    ({ signal }) => !(verdict.kind === 'leak' && signal === verdict.signal),
  );
  const linesOf = (states: readonly Finding['state'][]): string[] =>
    others.filter(({ state }) => states.includes(state)).map(lineOf);
  return {
    growsToo: linesOf(['leaks']),
    uncertain: linesOf(['slowing', 'unsure', 'unmeasured']),
    ruledOut: linesOf(['flat', 'settled']),
  };
}

/** How fast it grows under each kind of load, where there was more than one. */
export function describeLoads(
  verdict: Verdict,
  load: { readonly ratePerSecond: number; readonly connections: number },
): string[] {
  const signals = new Set([
    verdict.signal ?? 'heap',
    ...verdict.slow.filter(({ state }) => state !== 'flat').map(({ signal }) => signal),
  ]);
  return [...signals].flatMap((signal) => {
    const slow = verdict.slow.filter((each) => each.signal === signal);
    const finding = verdict.findings.find((each) => each.signal === signal);
    const steady = finding === undefined ? null : toldLine(finding);
    if (slow.length === 0 || steady === null) return [];
    const rate = formatNumber(load.ratePerSecond, 0);
    const many = `${rate} per second on up to ${load.connections} connections`;
    return [
      `${SIGNAL_WORDS[signal]}, ${many}: ${formatLine(steady, signal)} per request`,
      ...slow.map(({ phase, line }) => `${LOADS[phase]}: ${formatLine(line, signal)} per request`),
    ];
  });
}

/** `25 B per request, or 640 B per connection`: what the run would have seen in the heap. */
export function describeVisible(verdict: Verdict): string | null {
  const visible = verdict.findings.find(({ signal }) => signal === 'heap')?.visible ?? null;
  if (visible === null) return null;
  const show = (value: number, per: Rate['per']): string =>
    `${formatAmount(value, 'bytes')} per ${per}`;
  const fresh = verdict.slow.find(isFreshHeap);
  const more = fresh === undefined ? '' : ` or of ${show(fresh.visible, 'connection')}`;
  return show(visible, 'request') + more;
}

/** `116 B [7.6 B, 193 B]`. */
export function formatLine({ slope, low, high }: Line, signal: Signal): string {
  const show = (value: number): string => formatAmount(value, unitOf(signal));
  return `${show(slope)} [${show(low)}, ${show(high)}]`;
}

// --- internal ---

const LOADS: Readonly<Record<SlowPhase, string>> = {
  'one at a time': 'one at a time, on one connection',
  'new connections': 'one at a time, each on a new connection',
};

const STATE_WORDS = {
  flat: 'does not grow',
  settled: 'grew, and stopped',
  slowing: 'grows slower and slower',
  unsure: 'may grow: not certain',
  unmeasured: 'was not measured long enough',
  leaks: 'grows',
} as const;

function isFreshHeap({ signal, phase }: SlowFinding): boolean {
  return signal === 'heap' && phase === 'new connections';
}

function lineOf(finding: Finding): string {
  const { signal, state, visible } = finding;
  const line = toldLine(finding);
  const show = (value: number): string => formatAmount(value, unitOf(signal));
  const number =
    line === null
      ? ''
      : ` (${show(line.slope)} per request [${show(line.low)}, ${show(line.high)}])`;
  const isSeen = visible === null || state === 'leaks';
  const limit = isSeen ? '' : `; ${show(visible)} per request would have been seen`;
  return `${SIGNAL_WORDS[signal]}: ${STATE_WORDS[state]}${number}${limit}`;
}

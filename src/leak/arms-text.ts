/** The outcome of an A/B run: a sentence on each arm, and a table for each signal that matters. */
import { explainDeath } from './early-end.ts';
import type { ArmOutcome } from './arms.ts';
import { SIGNALS, SIGNAL_WORDS } from './series.ts';
import type { Line, Signal } from './series.ts';
import { formatRate } from './report.ts';
import { formatLine } from './report-findings.ts';
import { formatNumber } from './words.ts';

export function renderArms(outcomes: readonly ArmOutcome[]): string {
  const signals = signalsOf(outcomes);
  const lines = signals.flatMap((signal) => [
    `${SIGNAL_WORDS[signal]} per request`,
    ...table(outcomes, signal),
    '',
  ]);
  return `${[...outcomes.map(sentenceOf), '', ...lines].join('\n').trimEnd()}\n`;
}

// --- internal ---

function sentenceOf({ name, node, verdict, requests, death, stopped }: ArmOutcome): string {
  const { kind, signal, rate } = verdict;
  const slope = signal === null || rate === null ? '' : ` (${formatRate(rate, signal)})`;
  const why = kind === 'undecided' && verdict.because !== '' ? ` (${verdict.because})` : '';
  const what =
    kind === 'leak' && signal !== null ? `leak of ${SIGNAL_WORDS[signal]}${slope}` : kind + why;
  const end = death === null || kind === 'undecided' ? '' : `; it died (${explainDeath(death)})`;
  const brake = stopped === null ? '' : `; its load was stopped: ${stopped}`;
  return `${name}: ${what}; ${formatNumber(requests, 0)} requests, Node ${node}${end}${brake}`;
}

/** Those that leak in any arm, and always the heap. */
function signalsOf(outcomes: readonly ArmOutcome[]): Signal[] {
  return SIGNALS.filter(
    (signal) =>
      signal === 'heap' ||
      outcomes.some(({ verdict }) =>
        verdict.findings.some((one) => one.signal === signal && one.state === 'leaks'),
      ),
  );
}

function table(outcomes: readonly ArmOutcome[], signal: Signal): string[] {
  const show = (line: Line | undefined): string =>
    line === undefined ? '-' : formatLine(line, signal);
  const rows = outcomes.map((arm, at) => [
    arm.name,
    show(arm.rates[signal]),
    at === 0 ? '' : differs(arm.differences[signal]) + show(arm.differences[signal]),
    stateOf(arm, signal),
  ]);
  const first = outcomes[0]?.name ?? '';
  const all = [['arm', 'slope [95 %]', `difference to ${first}`, 'verdict'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd(),
  );
}

/** An interval around zero is no difference, whatever its middle. */
function differs(line: Line | undefined): string {
  if (line === undefined) return '';
  return line.low <= 0 && line.high >= 0 ? '(none) ' : '';
}

function stateOf({ verdict }: ArmOutcome, signal: Signal): string {
  if (verdict.kind === 'leak') {
    const finding = verdict.findings.find((one) => one.signal === signal);
    return finding?.state === 'leaks' ? 'leak' : 'no leak here';
  }
  return verdict.kind;
}

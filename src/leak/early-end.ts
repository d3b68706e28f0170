/** A run that ended before its time: the app died, or answers no more. Why, in words. */
import { OPEN } from './finding.ts';
import type { Verdict } from './finding.ts';
import type { FailureClass } from './load-request.ts';
import type { Death, Target } from './target.ts';
import { formatNumber } from './words.ts';

/** Null when it went as planned. */
export type EarlyEnd = string | null;

/** Why a step of an experiment failed; waits a moment for the last words of a process. */
export async function explainEnd(target: Target, error: unknown): Promise<string> {
  const death = await target.settled();
  if (death !== null) return `the app died (${explainDeath(death)})`;
  return error instanceof Error ? error.message : String(error);
}

/** `SIGKILL`, `exit code 1: Error: no database`. */
export function explainDeath(death: Death): string {
  const lines = death.lastWords.split('\n').map((line) => line.trim());
  const said =
    lines.find((line) => /^(\w*Error\b|Uncaught|FATAL)/.test(line)) ?? lines.at(-1) ?? '';
  const how = death.signal ?? `exit code ${death.code}`;
  return said === '' ? how : `${how}: ${said.slice(0, SAID_LIMIT)}`;
}

/** Why a run says nothing although it went to its end: too many of its requests got no answer. */
export function explainLosses(
  failures: Readonly<Partial<Record<FailureClass, number>>>,
  answered: number,
): EarlyEnd {
  const { non_2xx: _, ...losses } = failures;
  const lost = Object.values(losses).reduce((sum, count) => sum + count, 0);
  if (lost < Math.max(LOST_MIN, LOST_SHARE_MAX * (answered + lost))) return null;
  const words = Object.entries(losses).map(([name, count]) => `${formatNumber(count, 0)} ${name}`);
  const all = formatNumber(answered + lost, 0);
  return `${formatNumber(lost, 0)} of ${all} requests had no answer (${words.join(', ')})`;
}

/** A leak that was seen is a leak; anything else was not seen to its end. */
export function judgeEarly(verdict: Verdict, end: EarlyEnd): Verdict {
  if (end === null || verdict.kind === 'leak') return verdict;
  return { ...OPEN, findings: verdict.findings, because: end };
}

// --- internal ---

/** Fewer are the bad luck of a busy machine. */
const LOST_MIN = 10;
const LOST_SHARE_MAX = 0.01;

/** A line for people; a minified stack can be one line of a megabyte. */
const SAID_LIMIT = 200;

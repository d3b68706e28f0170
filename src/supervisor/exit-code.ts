/** How a pool ended → the exit code of `serve`. */
import type { Outcome } from '../control/types.ts';
import { EXIT } from '../errors.ts';
import { explainNoBoot } from './explain.ts';
import type { Log } from './log.ts';

/** 128 + SIGINT: the exit code after the second Ctrl-C. */
export const EXIT_INTERRUPTED = 130;

export interface ExitContext {
  readonly app: string;
  /** What the app failed to listen on last, if it did. */
  readonly listenFailure: string | null;
  /** Somebody was in a hurry: Ctrl-C twice. */
  readonly isHurried: boolean;
  readonly log: Log;
}

/** What counts of several ends. */
export function worstOf(outcomes: readonly Outcome[]): Outcome {
  return (
    outcomes.find(({ type }) => type === 'never_booted') ??
    outcomes.find(({ type }) => type === 'stopped_late') ?? { type: 'stopped' }
  );
}

/** Throws COF_APP_DOES_NOT_BOOT or COF_PORT_IN_USE when it never began. */
export function exitCodeOf(outcome: Outcome, context: ExitContext): number {
  const { log } = context;
  if (outcome.type === 'never_booted') {
    throw explainNoBoot(context.app, outcome.detail, context.listenFailure);
  }
  if (outcome.type === 'stopped_late') {
    const { cutRequests, cutLongLived, killed } = outcome;
    log.write('error', 'stopped_late', { cutRequests, cutLongLived, killed });
    return EXIT.stopRanOutOfTime;
  }
  return context.isHurried ? EXIT_INTERRUPTED : EXIT.ok;
}

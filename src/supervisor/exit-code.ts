/** How a pool ended → the exit code of `serve`. */
import type { Outcome } from '../control/types.ts';
import { CofferdamError, EXIT } from '../errors.ts';
import type { Log } from './log.ts';

/** 128 + SIGINT: the exit code after the second Ctrl-C. */
export const EXIT_INTERRUPTED = 130;

/** Throws COF_APP_DOES_NOT_BOOT or COF_PORT_IN_USE when it never began. */
export function exitCodeOf(
  outcome: Outcome,
  { app, isHurried, log }: { readonly app: string | null; isHurried: boolean; log: Log },
): number {
  if (outcome.type === 'never_booted') {
    throw new CofferdamError(
      outcome.detail.includes('EADDRINUSE') ? 'COF_PORT_IN_USE' : 'COF_APP_DOES_NOT_BOOT',
      `${app} does not boot: ${outcome.detail}`,
    );
  }
  if (outcome.type === 'stopped_late') {
    const { cutRequests, cutLongLived, killed } = outcome;
    log.write('error', 'stopped_late', { cutRequests, cutLongLived, killed });
    return EXIT.stopRanOutOfTime;
  }
  return isHurried ? EXIT_INTERRUPTED : EXIT.ok;
}

/** What the exit codes mean, for `--help` and docs/reference/exit-codes.md. */
import type { EXIT } from '../errors.ts';

export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'Done, or stopped as asked.',
  failed: 'It failed.',
  usage: 'The command line or the configuration is wrong; nothing was started.',
  undecided: 'Reserved for `cofferdam leak`: it could not decide.',
  appDoesNotBoot: 'The app does not boot: its first worker did not become ready.',
  stopRanOutOfTime: 'The graceful stop ran out of time; what was cut is told in the log.',
};

/** A second Ctrl-C, or a signal that nobody handles. */
export const KILLED_MEANING = 'Ended by signal n (130: Ctrl-C twice).';

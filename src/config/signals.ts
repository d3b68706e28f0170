/** The signals of the contract, for `--help` and docs/reference/signals.md. */

export interface SignalRow {
  readonly signal: string;
  /** What `cofferdam serve` does with it, one sentence. */
  readonly does: string;
  /** The command that does the same, if there is one. */
  readonly command: string | null;
}

export const SIGNALS: readonly SignalRow[] = [
  {
    signal: 'SIGTERM',
    does: 'Stops gracefully: no new connections, running requests are finished.',
    command: null,
  },
  {
    signal: 'SIGQUIT',
    does: 'The same as SIGTERM (some container images send it).',
    command: null,
  },
  {
    signal: 'SIGINT',
    does: 'The first stops gracefully, the second (Ctrl-C twice) stops now.',
    command: null,
  },
  {
    signal: 'SIGHUP',
    does: 'Reads the configuration again and replaces the workers one by one; one that is invalid or does not boot changes nothing.',
    command: 'cofferdam reload',
  },
  {
    signal: 'SIGUSR2',
    does: 'Replaces all workers one by one, with the same configuration.',
    command: 'cofferdam recycle',
  },
  {
    signal: 'SIGTTIN',
    does: 'One worker more, up to the maximum of --workers.',
    command: null,
  },
  {
    signal: 'SIGTTOU',
    does: 'One worker fewer, down to the minimum of --workers.',
    command: null,
  },
  {
    signal: 'SIGUSR1',
    does: 'Nothing but a log line: there is no log file to reopen (left alone, Node would open its debugger).',
    command: null,
  },
  {
    signal: 'SIGWINCH',
    does: 'Nothing: terminals send it when their window changes.',
    command: null,
  },
];

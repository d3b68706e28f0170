/**
 * The error table: every error a user can meet, with its exit code and the way out.
 * `docs/reference/errors.md` is made from it; a test keeps both in step.
 */

/** Exit codes of the command-line contract (docs/reference/exit-codes.md). */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  undecided: 3,
  appDoesNotBoot: 4,
  stopRanOutOfTime: 5,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

interface ErrorEntry {
  /** What it means, one sentence, for the reference page. */
  readonly meaning: string;
  /** How to mend it; printed under the message unless the thrower knows better. */
  readonly hint: string;
  readonly exitCode: ExitCode;
}

export const ERRORS = {
  COF_USAGE: {
    meaning: 'The command line cannot be understood.',
    hint: 'See `cofferdam --help`.',
    exitCode: EXIT.usage,
  },
  COF_UNKNOWN_SETTING: {
    meaning: 'A flag, an environment variable or a key in the configuration file does not exist.',
    hint: 'See `cofferdam help <command>` for the settings of a command.',
    exitCode: EXIT.usage,
  },
  COF_BAD_VALUE: {
    meaning: 'A setting has a value that is not of its kind, or outside its limits.',
    hint: 'See `cofferdam help <command>` for what each setting takes.',
    exitCode: EXIT.usage,
  },
  COF_CONFLICT: {
    meaning: 'Two settings contradict each other.',
    hint: 'Change one of the two.',
    exitCode: EXIT.usage,
  },
  COF_LIMIT_TOO_LOW: {
    meaning: 'A memory limit is below what a bare worker needs, so it could never hold.',
    hint: 'Raise the limit, or use fewer workers.',
    exitCode: EXIT.usage,
  },
  COF_CONFIG_NOT_FOUND: {
    meaning: 'The configuration file that was asked for does not exist.',
    hint: 'Check the path given with --config.',
    exitCode: EXIT.usage,
  },
  COF_CONFIG_UNREADABLE: {
    meaning: 'The configuration file exists but cannot be read.',
    hint: 'Check its permissions.',
    exitCode: EXIT.usage,
  },
  COF_CONFIG_SYNTAX: {
    meaning: 'The configuration file is not valid TOML, JSON or JavaScript.',
    hint: 'Mend the file at the line and column shown.',
    exitCode: EXIT.usage,
  },
  COF_APP_NOT_FOUND: {
    meaning: 'The application file does not exist, or a directory has no entry point.',
    hint: 'Give the file that starts your server: `cofferdam serve server.js`.',
    exitCode: EXIT.usage,
  },
  COF_APP_UNSUPPORTED: {
    meaning: 'This Node version cannot run that kind of file.',
    hint: 'Build it to JavaScript first, or run Cofferdam on Node 22.18 or newer.',
    exitCode: EXIT.usage,
  },
  COF_APP_DOES_NOT_BOOT: {
    meaning: 'The first worker did not become ready.',
    hint: 'Start the app by itself, without Cofferdam, and mend what it prints.',
    exitCode: EXIT.appDoesNotBoot,
  },
  COF_PORT_IN_USE: {
    meaning: 'Another process listens on an address that the app wants.',
    hint: 'Stop that process, or choose another port with --port.',
    exitCode: EXIT.appDoesNotBoot,
  },
  COF_OPS_ADDRESS: {
    meaning: 'The ops listener cannot listen on the address that was asked for.',
    hint: 'Give another one with --ops, or `--ops off`.',
    exitCode: EXIT.usage,
  },
  COF_NOT_RUNNING: {
    meaning: 'No running Cofferdam answers on the control socket.',
    hint: 'Start one with `cofferdam serve`, or name it with --name.',
    exitCode: EXIT.failed,
  },
  COF_ALREADY_RUNNING: {
    meaning: 'Another Cofferdam of the same name runs on this machine.',
    hint: 'Give this one a name of its own with --name.',
    exitCode: EXIT.failed,
  },
  COF_RELOAD_ROLLED_BACK: {
    meaning:
      'The first worker of a reloaded configuration did not become ready: the old one stays.',
    hint: 'Mend what keeps it from booting, then reload again.',
    exitCode: EXIT.failed,
  },
  COF_CONTROL_REFUSED: {
    meaning: 'The running Cofferdam refused the command.',
    hint: 'The message says why.',
    exitCode: EXIT.failed,
  },
  COF_BAD_SNAPSHOT: {
    meaning: 'A file is not a whole V8 heap snapshot.',
    hint: 'Take it again; a process that is killed while it writes leaves half a file.',
    exitCode: EXIT.usage,
  },
  COF_APP_ANSWERS_BADLY: {
    meaning:
      'The app refuses, redirects or fails the request that `leak` would send it by thousands.',
    hint: 'Choose another one with --path, or say --any-status to test this answer.',
    exitCode: EXIT.undecided,
  },
  COF_INTERNAL: {
    meaning: 'A fault in Cofferdam itself.',
    hint: 'Please report it with the text above.',
    exitCode: EXIT.failed,
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** The only error class that Cofferdam throws on purpose: what, where, and how to mend it. */
export class CofferdamError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly exitCode: ExitCode;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CofferdamError';
    this.code = code;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.exitCode = ERRORS[code].exitCode;
  }
}

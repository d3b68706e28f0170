/** Turns the end of a process into a sentence that a person can act on. */
import { CofferdamError } from '../errors.ts';
import type { ProcessExit } from './child.ts';

export interface ExitContext {
  /** What the app failed to listen on last, if it did. */
  readonly listenFailure: string | null;
  /** The kernel's OOM counter of our cgroup rose since the last look. */
  readonly oomKilled: boolean;
  /** It listened before it died. */
  readonly wasListening: boolean;
  /** No Node app but a program, of which we know nothing. */
  readonly isProgram: boolean;
  readonly stderrLines: readonly string[];
}

/** One sentence; quotes the app's own last error line where there is one. */
export function explainExit(exit: ProcessExit, context: ExitContext): string {
  if (exit.spawnError !== null) return `could not be started: ${exit.spawnError.message}`;
  if (exit.detail !== undefined) return exit.detail;
  const lines = context.stderrLines;
  if (lines.some((line) => line.includes('JavaScript heap out of memory'))) {
    return (
      'ran out of JavaScript heap: raise --node-args=--max-old-space-size, ' +
      'or recycle earlier with --max-memory or --max-requests'
    );
  }
  if (exit.signal === 'SIGKILL') {
    return context.oomKilled
      ? "killed by the kernel's OOM killer: lower --max-memory or --workers, or raise the memory limit"
      : 'killed with SIGKILL from outside';
  }
  const how = exit.signal === null ? `exited with code ${exit.code}` : `killed by ${exit.signal}`;
  const when = context.wasListening
    ? byItself(exit, context)
    : ' before it listened on any address';
  const why = context.listenFailure ?? lastErrorLine(lines);
  return why === null ? how + when : `${how}${when}: ${why}`;
}

/**
 * Why nothing is served: `detail` of the first boot and, if the app swallowed it, what it failed to
 * listen on.
 */
export function explainNoBoot(
  app: string,
  detail: string,
  listenFailure: string | null,
): CofferdamError {
  const known = listenFailure === null || detail.includes(listenFailure);
  const message = `${app} does not boot: ${known ? detail : `${detail}: ${listenFailure}`}`;
  if (message.includes('EADDRINUSE')) return new CofferdamError('COF_PORT_IN_USE', message);
  const hint = NO_BOOT_HINTS.find(({ detail: form }) => form.test(detail))?.hint;
  return new CofferdamError('COF_APP_DOES_NOT_BOOT', message, hint === undefined ? {} : { hint });
}

// --- internal ---

const NO_BOOT_HINTS: readonly { readonly detail: RegExp; readonly hint: string }[] = [
  {
    detail: /^could not be started: spawn \S*php\S* ENOENT/,
    hint: 'Install php-cgi (Debian: `apt-get install php-cgi`), or name it with --php-binary.',
  },
  {
    detail: /does not tell its pid/,
    hint:
      'With php-layout = "zygote" open_basedir and disable_functions have to allow a script of ' +
      'ours that calls getmypid(); "isolated" needs none.',
  },
  {
    detail: /^did not listen within/,
    hint:
      'Is it a server? If it only needs longer, raise --boot-timeout. ' +
      'A command has to listen on $PORT, {port} or {socket}.',
  },
  {
    detail: /^could not be started: .* ENOENT$/,
    hint: 'There is no such program, neither at that path nor in PATH.',
  },
  {
    detail: /^could not be started: .* EACCES$/,
    hint: 'The file may not be executed: chmod +x.',
  },
  {
    detail: /^exited with code 0 before/,
    hint:
      'To be served, an app has to listen on a port or a socket, and to stay: ' +
      'a program that makes itself a daemon has to be told to stay in the foreground.',
  },
];

/** Nothing on stderr explains the end of an app that is content. */
function byItself({ code }: ProcessExit, { isProgram }: ExitContext): string {
  if (code !== 0) return '';
  return isProgram
    ? ' by itself; if it made itself a daemon, it has to stay in the foreground'
    : ' by itself (process.exit, process.disconnect or nothing left to do)';
}

/** `Error: message` as Node prints it above a stack, else the last thing said. */
function lastErrorLine(lines: readonly string[]): string | null {
  const isFrame = (line: string): boolean => /^\s+at |^Node\.js v|^\s*[{}^]|^\s+\w+: /.test(line);
  const named = lines.findLast((line) =>
    /^(?:Uncaught )?(?:\w+: )?\w*(?:Error|Exception)\b/.test(line),
  );
  return named ?? lines.findLast((line) => !isFrame(line)) ?? null;
}

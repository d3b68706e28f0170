/** Turns the end of a process into a sentence that a person can act on. */
import type { WorkerExit } from './worker-process.ts';

export interface ExitContext {
  /** What the app failed to listen on last, if it did. */
  readonly listenFailure: string | null;
  /** The kernel's OOM counter of our cgroup rose since the last look. */
  readonly oomKilled: boolean;
  /** It listened before it died. */
  readonly wasListening: boolean;
  readonly stderrLines: readonly string[];
}

/** One sentence; quotes the app's own last error line where there is one. */
export function explainExit(exit: WorkerExit, context: ExitContext): string {
  if (exit.spawnError !== null) return `could not be started: ${exit.spawnError.message}`;
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
  const when = context.wasListening ? '' : ' before it listened on any address';
  const why = context.listenFailure ?? lastErrorLine(lines);
  return why === null ? how + when : `${how}${when}: ${why}`;
}

// --- internal ---

/** `Error: message` as Node prints it above a stack, else the last thing said. */
function lastErrorLine(lines: readonly string[]): string | null {
  const isFrame = (line: string): boolean => /^\s+at |^Node\.js v|^\s*[{}^]|^\s+\w+: /.test(line);
  const named = lines.findLast((line) =>
    /^(?:Uncaught )?(?:\w+: )?\w*(?:Error|Exception)\b/.test(line),
  );
  return named ?? lines.findLast((line) => !isFrame(line)) ?? null;
}

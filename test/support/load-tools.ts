/** wrk and h2load as clients: foreign code, so that our own clients do not only agree with us. */
import { runTool } from './tools.ts';
import { countFailure, emptyTally, type FailureClass, type Tally } from './tally.ts';

export interface ToolRun {
  readonly url: string;
  readonly seconds: number;
  readonly connections?: number;
  /** A connection per request instead of keep-alive (wrk only). */
  readonly close?: boolean;
}

/** More than the run itself: the tool waits for its last answers, on a busy machine. */
const GRACE_MS = 30_000;

/** wrk counts answers it did not get in 5 s as timeouts, and a cut connection as a read error. */
export async function runWrk(run: ToolRun): Promise<Tally> {
  const close = run.close ? ['-H', 'Connection: close'] : [];
  const connections = String(run.connections ?? 16);
  const output = await runTool(
    'wrk',
    ['-t1', `-c${connections}`, `-d${run.seconds}s`, '--timeout', '5s', ...close, run.url],
    run.seconds * 1000 + GRACE_MS,
  );
  return parseWrk(output);
}

/**
 * Runs h2load once a second, because it does not come back after a GOAWAY: it gives up the requests
 * that it has not sent yet. By count (`-n`): with `-D` it does not report the streams that a dead
 * connection took along (504 done of 536 started, 0 failed).
 */
export async function runH2load(
  run: ToolRun & { readonly streams?: number; readonly ratePerSecond?: number },
): Promise<Tally> {
  const connections = run.connections ?? 4;
  const rate = Math.ceil((run.ratePerSecond ?? 400) / connections);
  const shape = [`-c${connections}`, `-m${run.streams ?? 8}`, '-N10s', `--rps=${rate}`];
  const tally = emptyTally();
  const until = performance.now() + run.seconds * 1000;
  while (performance.now() < until) {
    const args = [`-n${rate * connections}`, ...shape, run.url];
    countH2load(tally, await runTool('h2load', args, GRACE_MS));
  }
  return tally;
}

export function parseWrk(output: string): Tally {
  const total = numberIn(output, /(\d+) requests in/);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(
    output,
  );
  const [connect = 0, read = 0, write = 0, timeout = 0] = (errors ?? []).slice(1).map(Number);
  const non2xx = numberIn(output, /Non-2xx or 3xx responses: (\d+)/, 0);
  const tally = emptyTally();
  tally.ok = total - non2xx;
  // wrk counts a timeout for each look at a late connection, and does not give the request up.
  fill(tally, { refused: connect, reset: read + write, timeout, non2xx }, output);
  return tally;
}

/**
 * Adds the output of one run. Started and not done: the connection died with it. Done without
 * success: the stream was reset, which h2load does not say more about; it should be REFUSED_STREAM.
 */
export function countH2load(tally: Tally, output: string): void {
  const counts = /(\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, .* (\d+) timeout/;
  const line = counts.exec(output);
  if (line === null) throw new Error(`not the output of h2load: ${output}`);
  const [total = 0, started = 0, done = 0, succeeded = 0, timeout = 0] = line.slice(1).map(Number);
  const non2xx = numberIn(output, /(\d+) 4xx/, 0) + numberIn(output, /(\d+) 5xx/, 0);
  tally.ok += succeeded;
  tally.refusedStream += Math.max(0, done - succeeded - non2xx);
  const reset = started - done - timeout;
  fill(tally, { refused: started === 0 ? total : 0, reset, timeout, non2xx }, output);
}

// --- internal ---

function fill(tally: Tally, counts: Partial<Record<FailureClass, number>>, output: string): void {
  for (const [failure, count] of Object.entries(counts)) {
    if (count <= 0) continue;
    countFailure(tally, failure as FailureClass, output);
    tally[failure as FailureClass] += count - 1;
  }
}

function numberIn(output: string, pattern: RegExp, fallback?: number): number {
  const found = pattern.exec(output)?.[1] ?? fallback;
  if (found === undefined) throw new Error(`${pattern.source} is not in the output: ${output}`);
  return Number(found);
}

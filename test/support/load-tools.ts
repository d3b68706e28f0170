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
 * Runs at a fixed rate for about so many seconds, or until a GOAWAY: h2load makes no new connection
 * then, and counts what it never sent as errors. By count (`-n`), because with `-D` h2load does
 * not report the streams that a dead connection took along (504 done of 536 started, 0 failed).
 */
export async function runH2load(
  run: ToolRun & { readonly streams?: number; readonly ratePerSecond?: number },
): Promise<Tally> {
  const connections = run.connections ?? 4;
  const perConnection = Math.ceil((run.ratePerSecond ?? 400) / connections);
  const total = perConnection * connections * run.seconds;
  const shape = [`-n${total}`, `-c${connections}`, `-m${run.streams ?? 8}`, '-N10s'];
  const output = await runTool(
    'h2load',
    [...shape, `--rps=${perConnection}`, run.url],
    run.seconds * 1000 + GRACE_MS,
  );
  return parseH2load(output);
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

export function parseH2load(output: string): Tally {
  const counts = /(\d+) started, (\d+) done, (\d+) succeeded, .* (\d+) timeout/;
  const line = counts.exec(output);
  if (line === null) throw new Error(`not the output of h2load: ${output}`);
  const [started = 0, done = 0, ok = 0, timeout = 0] = line.slice(1).map(Number);
  const non2xx = numberIn(output, /(\d+) 4xx/, 0) + numberIn(output, /(\d+) 5xx/, 0);
  const tally = emptyTally();
  tally.ok = ok;
  // Done without success and without a status: the stream was reset, which a drain does only by
  // REFUSED_STREAM. The test with Node's client, which sees the code, holds us to that.
  tally.refusedStream = Math.max(0, done - ok - non2xx);
  fill(tally, { reset: Math.max(0, started - done - timeout), timeout, non2xx }, output);
  return tally;
}

// --- internal ---

function fill(tally: Tally, counts: Partial<Record<FailureClass, number>>, output: string): void {
  for (const [failure, count] of Object.entries(counts)) {
    if (count === 0) continue;
    countFailure(tally, failure as FailureClass, output);
    tally[failure as FailureClass] = count;
  }
}

function numberIn(output: string, pattern: RegExp, fallback?: number): number {
  const found = pattern.exec(output)?.[1] ?? fallback;
  if (found === undefined) throw new Error(`${pattern.source} is not in the output: ${output}`);
  return Number(found);
}

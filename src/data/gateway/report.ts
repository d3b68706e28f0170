/** What the log hears of single requests: bounded, for a dead worker fails them all. */
import { performance } from 'node:perf_hooks';
import type { Job } from './job.ts';
import type { FromGateway, UpstreamId } from './messages.ts';
import type { Visit } from './types.ts';

export interface Report {
  /** A request got no answer, or half of one, from the worker in this slot. */
  failed(job: Job, slot: number, reason: string, stage: string): void;
  /** It takes long, or too long, and still runs: the supervisor can look into the worker. */
  late(
    type: 'slow' | 'overdue',
    job: Job,
    worker: UpstreamId,
    end: { readonly tookMs: number; readonly script: string | null },
  ): void;
  /** It took long, and is over. */
  wasSlow(
    job: Job,
    slot: number,
    end: { readonly status: number; readonly tookMs: number; readonly script: string | null },
  ): void;
  /** What we did for it has thrown. It is over for this request, and for no other. */
  faulted(
    request: { readonly method?: string | undefined; readonly target: string },
    error: unknown,
  ): void;
  /** The same, where it is not known for which request. */
  broken(error: unknown): void;
  /** What the script answered could not be passed on. */
  badAnswer(visit: Visit, slot: number, script: string, detail: string): void;
  /** On STDERR, while it had this request. */
  phpSaid(visit: Visit, slot: number, text: string): void;
  say(level: Level, event: string, fields: Fields): void;
}

type Log = FromGateway & { type: 'log' };
type Level = Log['level'];
type Fields = Log['fields'];

/** Lines a second; a person reads the first few, and the count of the others. */
const LINES_MAX = 20;
const WINDOW_MS = 1000;
/** Enough of a target to find it again. */
const TARGET_CHARS_MAX = 500;
/** A few frames. */
const STACK_CHARS_MAX = 1000;

export function createReport(tell: (message: FromGateway) => void): Report {
  let windowEnd = 0;
  let lines = 0;
  let suppressed = 0;
  /** Whether there is room for one more line; who finds none is counted. */
  const hasRoom = (): boolean => {
    const now = performance.now();
    if (now >= windowEnd) {
      windowEnd = now + WINDOW_MS;
      lines = 0;
    }
    lines += 1;
    if (lines > LINES_MAX) suppressed += 1;
    return lines <= LINES_MAX;
  };
  const say = (level: Level, event: string, fields: Fields): void => {
    if (!hasRoom()) return;
    const more = suppressed === 0 ? {} : { suppressed };
    suppressed = 0;
    tell({ type: 'log', level, event, fields: { ...fields, ...more } });
  };
  return {
    say,
    failed: (job, slot, reason, stage) =>
      say('warn', 'request_failed', { ...factsOf(job), slot, reason, stage, tries: job.tries }),
    late(type, job, worker, { script, tookMs }) {
      // That a worker is stuck is more than a line: it is replaced for it.
      if (type === 'slow' && !hasRoom()) return;
      tell({ type, worker, ...factsOf(job), script, tookMs });
    },
    faulted: ({ method = '', target }, error) => {
      const where = { method, target: target.slice(0, TARGET_CHARS_MAX) };
      say('error', 'request_fault', { ...where, error: stackOf(error) });
    },
    broken: (error) => say('error', 'gateway_fault', { error: stackOf(error) }),
    badAnswer: (visit, slot, script, detail) =>
      say('warn', 'bad_answer', { ...factsOf(visit), script, slot, detail }),
    phpSaid: (visit, slot, text) =>
      say('warn', 'php_stderr', { slot, visitId: visit.id, ...factsOf(visit), text }),
    wasSlow: (job, slot, { status, tookMs, script }) => {
      const fields = { ...factsOf(job), script, slot, status, tookMs: Math.round(tookMs) };
      say('info', 'slow_request_ended', fields);
    },
  };
}

// --- internal ---

function stackOf(error: unknown): string {
  const stack = error instanceof Error ? error.stack : undefined;
  return (stack ?? String(error)).slice(0, STACK_CHARS_MAX);
}

function factsOf({ method, target }: Visit): { method: string; target: string } {
  return { method, target: target.slice(0, TARGET_CHARS_MAX) };
}

/** What the log hears of single requests: bounded, for a dead worker fails them all. */
import { performance } from 'node:perf_hooks';
import type { Job } from './job.ts';
import type { FromGateway } from './messages.ts';

export interface Report {
  /** A request got no answer, or half of one, from the worker in this slot. */
  failed(job: Job, slot: number, reason: string, stage: string): void;
  slow(
    job: Job,
    slot: number,
    end: { readonly status: number; readonly tookMs: number; readonly script: string | null },
  ): void;
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

export function createReport(tell: (message: FromGateway) => void): Report {
  let windowEnd = 0;
  let lines = 0;
  let suppressed = 0;
  const say = (level: Level, event: string, fields: Fields): void => {
    const now = performance.now();
    if (now >= windowEnd) {
      windowEnd = now + WINDOW_MS;
      lines = 0;
    }
    lines += 1;
    if (lines > LINES_MAX) {
      suppressed += 1;
      return;
    }
    const more = suppressed === 0 ? {} : { suppressed };
    suppressed = 0;
    tell({ type: 'log', level, event, fields: { ...fields, ...more } });
  };
  return {
    say,
    failed: (job, slot, reason, stage) =>
      say('warn', 'request_failed', { ...factsOf(job), slot, reason, stage, tries: job.tries }),
    slow: (job, slot, { status, tookMs, script }) => {
      const fields = { ...factsOf(job), script, slot, status, tookMs: Math.round(tookMs) };
      say('info', 'slow_request', fields);
    },
  };
}

// --- internal ---

function factsOf(job: Job): { method: string; target: string } {
  return { method: job.method, target: job.target.slice(0, TARGET_CHARS_MAX) };
}

/** The HTTP answers of the probes: made once and of constant size, except the verbose ones. */
import { judge, type Probe, type ProbeFacts } from './probes.ts';

export interface Answer {
  readonly status: 200 | 503;
  readonly type: string;
  readonly body: string;
}

/** The paths of the probes, and what each one asks. */
export const PROBE_PATHS: Readonly<Record<string, Probe>> = {
  '/livez': 'live',
  '/readyz': 'ready',
  '/startupz': 'started',
};

export function answerProbe(probe: Probe, facts: ProbeFacts, verbose: boolean): Answer {
  const reasons = judge(probe, facts);
  if (!verbose) return reasons.length === 0 ? GREEN : RED;
  const ok = reasons.length === 0;
  const body = `${JSON.stringify({ probe, ok, reasons, facts })}\n`;
  return { status: ok ? 200 : 503, type: 'application/json', body };
}

// --- internal ---

const GREEN: Answer = { status: 200, type: 'text/plain', body: 'ok\n' };
const RED: Answer = { status: 503, type: 'text/plain', body: 'no\n' };

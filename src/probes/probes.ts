/**
 * What the probes answer, and why. Pure: judged from facts that the supervisor has at hand, so that
 * an answer never waits for a worker.
 */

export const PROBES = ['live', 'ready', 'started'] as const;

export type Probe = (typeof PROBES)[number];

export interface ProbeFacts {
  readonly phase: 'starting' | 'running' | 'leaving' | 'stopping';
  /** Time since the supervisor's loop turned last. */
  readonly loopAgeMs: number;
  /** Every slot of the first generation has been ready once. */
  readonly startedOnce: boolean;
  /** Workers that are ready and report. */
  readonly answering: number;
  readonly readyMin: number;
  /** Slots without a serving worker whose boots keep failing. */
  readonly failingSlots: number;
  readonly saturated: boolean;
  readonly saturation: number;
  /** For how long no worker gave any sign of life and no request was answered; 0: some did. */
  readonly stalledMs: number;
  /** 0 = never. */
  readonly stallLimitMs: number;
}

/** A closed set: the same words in answers, docs and logs. */
export type RedCode =
  | 'loop_stuck'
  | 'workers_stuck'
  | 'starting'
  | 'stopping'
  | 'too_few_workers'
  | 'boot_failing'
  | 'saturated';

export interface Red {
  readonly code: RedCode;
  readonly detail: string;
}

/** Why the probe is red; empty: it is green. */
export function judge(probe: Probe, facts: ProbeFacts): readonly Red[] {
  return JUDGES[probe](facts);
}

/**
 * The loop turns at least each second. So long without a turn is no hiccup; and whoever has to wait
 * for this answer that long has given up before.
 */
export const WATCHDOG_MS = 10_000;

// --- internal ---

const JUDGES: Readonly<Record<Probe, (facts: ProbeFacts) => readonly Red[]>> = {
  live: judgeLive,
  ready: judgeReady,
  started({ startedOnce }) {
    return startedOnce ? [] : [red('starting', 'not every worker has been ready yet')];
  },
};

function judgeLive({ loopAgeMs, stalledMs, stallLimitMs }: ProbeFacts): readonly Red[] {
  const reasons: Red[] = [];
  if (loopAgeMs > WATCHDOG_MS) {
    reasons.push(red('loop_stuck', `the supervisor did not act for ${seconds(loopAgeMs)}`));
  }
  if (stallLimitMs > 0 && stalledMs > stallLimitMs) {
    reasons.push(red('workers_stuck', `no worker gave a sign of life for ${seconds(stalledMs)}`));
  }
  return reasons;
}

function judgeReady(facts: ProbeFacts): readonly Red[] {
  const { phase, answering, readyMin, failingSlots, saturated, saturation } = facts;
  if (phase === 'starting') return [red('starting', 'no worker has been ready yet')];
  if (phase !== 'running') return [red('stopping', 'it was told to stop')];
  const reasons: Red[] = [];
  if (answering < readyMin) {
    reasons.push(red('too_few_workers', `${answering} workers answer, ${readyMin} are wanted`));
  }
  if (failingSlots > 0) {
    reasons.push(red('boot_failing', `${failingSlots} slots are empty, their workers do not boot`));
  }
  if (saturated) {
    reasons.push(
      red('saturated', `the workers are busy ${Math.round(saturation * 100)}% of the time`),
    );
  }
  return reasons;
}

function red(code: RedCode, detail: string): Red {
  return { code, detail };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)}s`;
}

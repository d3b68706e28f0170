/**
 * Back-off of one slot: a boot failure is not a crash loop, and a crash loop does not eat the
 * machine. Delays double with each failure inside a sliding window, up to a cap.
 */

/**
 * Delay after the first boot failure: enough for a port or a file to come back, not felt by a
 * person.
 */
export const BACKOFF_BASE_MS = 250;
/** Never wait longer: a cause that was mended must be noticed within seconds. */
export const BACKOFF_CAP_MS = 15_000;
/**
 * Share by which delays vary up and down, so that slots that failed together do not retry together.
 */
export const BACKOFF_JITTER = 0.1;
/**
 * A worker that served for so long has proved that the slot works: earlier failures are forgotten.
 */
export const HEALTHY_MS = 30_000;
/**
 * Failures older than this do not count. Long enough to stay at the cap when every attempt takes a
 * whole boot timeout: 7 × (30 s + 15 s) = 315 s.
 */
export const FAILURE_WINDOW_MS = 600_000;
/** Failures that are remembered: 250 ms × 2^6 is above the cap, more cannot change the delay. */
export const FAILURES_KEPT = 8;
/** Retries in a row that were our own fault and do not count, before they count after all. */
export const FREE_RETRIES = 3;

export interface Restarts {
  /** When the last failures happened, oldest first. */
  readonly failures: readonly number[];
  /** No spawn before this moment. */
  readonly notBefore: number;
  /** Free retries used in a row. */
  readonly freeRetries: number;
}

export const NO_FAILURES: Restarts = { failures: [], notBefore: 0, freeRetries: 0 };

/** What a failure is judged by; `healthySince` is when the slot's serving worker became ready. */
export interface Failure {
  readonly now: number;
  readonly healthySince: number | null;
  readonly random: () => number;
}

/** A worker did not become ready: wait, even the first time, since nothing has changed yet. */
export function afterBootFailure(
  restarts: Restarts,
  failure: Failure,
  retryAtOnce: boolean,
): Restarts {
  if (retryAtOnce && restarts.freeRetries < FREE_RETRIES) {
    return { ...restarts, freeRetries: restarts.freeRetries + 1 };
  }
  const failures = countFailure(restarts, failure);
  return withDelay(restarts, failures, failures.length, failure);
}

/** A ready worker died: the first time its successor starts at once, the service is missing it. */
export function afterCrash(restarts: Restarts, failure: Failure): Restarts {
  const failures = countFailure(restarts, failure);
  return withDelay(restarts, failures, failures.length - 1, failure);
}

/**
 * A worker became ready: free retries may be used again, the failures stay until it proves healthy.
 */
export function afterReady(restarts: Restarts): Restarts {
  return restarts.freeRetries === 0 ? restarts : { ...restarts, freeRetries: 0 };
}

// --- internal ---

function countFailure(restarts: Restarts, failure: Failure): number[] {
  const { now, healthySince } = failure;
  const last = restarts.failures.at(-1) ?? -Infinity;
  // An old worker that serves on while its replacements fail proves nothing about them.
  const proved = healthySince !== null && healthySince >= last && now - healthySince >= HEALTHY_MS;
  const kept = proved ? [] : restarts.failures.filter((at) => at > now - FAILURE_WINDOW_MS);
  return [...kept, now].slice(-FAILURES_KEPT);
}

function withDelay(
  restarts: Restarts,
  failures: readonly number[],
  doublings: number,
  failure: Failure,
): Restarts {
  const plain =
    doublings === 0 ? 0 : Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** (doublings - 1));
  const delayMs = Math.round(plain * (1 + BACKOFF_JITTER * (2 * failure.random() - 1)));
  return { ...restarts, failures, notBefore: failure.now + delayMs };
}

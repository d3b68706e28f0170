import { describe, expect, test } from 'vitest';
import {
  afterBootFailure,
  afterCrash,
  afterReady,
  BACKOFF_CAP_MS,
  BACKOFF_JITTER,
  FAILURE_WINDOW_MS,
  FAILURES_KEPT,
  FREE_RETRIES,
  HEALTHY_MS,
  NO_FAILURES,
  type Restarts,
} from '../../src/control/restarts.ts';

const middle = (): number => 0.5;
const boot = (restarts: Restarts, now: number, healthySince: number | null = null) =>
  afterBootFailure(restarts, { now, healthySince, random: middle }, false);

function bootDelays(count: number): number[] {
  let restarts = NO_FAILURES;
  let now = 0;
  return Array.from({ length: count }, () => {
    restarts = boot(restarts, now);
    const delay = restarts.notBefore - now;
    now = restarts.notBefore;
    return delay;
  });
}

describe('back-off', () => {
  test('boot failures double from 250 ms to the cap and stay there', () => {
    expect(bootDelays(9)).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });

  test('the cap holds even if every attempt takes a whole boot timeout', () => {
    let restarts = NO_FAILURES;
    for (let attempt = 0, now = 0; attempt < 40; attempt += 1, now += 45_000) {
      restarts = boot(restarts, now);
      if (attempt >= 7) expect(restarts.notBefore - now).toBe(BACKOFF_CAP_MS);
    }
    expect(restarts.failures.length).toBe(FAILURES_KEPT);
  });

  test('jitter stays within its share', () => {
    const delay = (random: number): number =>
      afterBootFailure(NO_FAILURES, { now: 0, healthySince: null, random: () => random }, false)
        .notBefore;
    expect(delay(0)).toBe(250 * (1 - BACKOFF_JITTER));
    expect(delay(1)).toBe(250 * (1 + BACKOFF_JITTER));
  });

  test('the first crash restarts at once, a loop does not', () => {
    let restarts = NO_FAILURES;
    const delays = [0, 1, 2, 3].map(() => {
      const now = restarts.notBefore + 1000;
      restarts = afterCrash(restarts, { now, healthySince: now - 900, random: middle });
      return restarts.notBefore - now;
    });
    expect(delays).toEqual([0, 250, 500, 1000]);
  });

  test('a worker that served for long enough proves the slot, an older one does not', () => {
    const failed = boot(boot(NO_FAILURES, 0), 1000);
    const now = 2000 + HEALTHY_MS;
    expect(boot(failed, now, 2000).failures).toEqual([now]);
    expect(boot(failed, now - 1, 2000).failures.length).toBe(3);
    expect(boot(failed, now, 500).failures.length).toBe(3);
  });

  test('failures outside the window do not count', () => {
    const failed = boot(NO_FAILURES, 0);
    expect(boot(failed, FAILURE_WINDOW_MS).failures.length).toBe(1);
    expect(boot(failed, FAILURE_WINDOW_MS - 1).failures.length).toBe(2);
  });

  test('retries that are our own fault are free, but not for ever', () => {
    let restarts = NO_FAILURES;
    const failure = { now: 0, healthySince: null, random: middle };
    for (let retry = 0; retry < FREE_RETRIES; retry += 1) {
      restarts = afterBootFailure(restarts, failure, true);
      expect(restarts.notBefore).toBe(0);
    }
    expect(afterBootFailure(restarts, failure, true).notBefore).toBe(250);
    expect(afterBootFailure(afterReady(restarts), failure, true).notBefore).toBe(0);
  });
});

/**
 * What the back-off of each slot must be at least: written again from the rules, not from the code.
 */

export interface SlotBackoff {
  failedAt: number[];
  freeInARow: number;
  notBefore: number;
}

export interface FailureSeen {
  readonly now: number;
  readonly kind: 'boot' | 'crash';
  /** When the slot's serving worker became ready, if there is one. */
  readonly healthySince: number | null;
  readonly free: boolean;
  readonly retryInMs: number;
}

const BASE_MS = 250;
const CAP_MS = 15_000;
const LEAST_SHARE = 0.9;
const HEALTHY_MS = 30_000;
const WINDOW_MS = 600_000;
const FREE_MOST = 3;

export function createSlotBackoff(): SlotBackoff {
  return { failedAt: [], freeInARow: 0, notBefore: -Infinity };
}

/** Notes the failure; returns what is wrong with the delay that was told, or null. */
export function noteFailure(book: SlotBackoff, seen: FailureSeen): string | null {
  const { now, kind, healthySince, retryInMs } = seen;
  if (seen.free && book.freeInARow < FREE_MOST) {
    book.freeInARow += 1;
    book.notBefore = Math.max(book.notBefore, now + retryInMs);
    return null;
  }
  const last = book.failedAt.at(-1) ?? -Infinity;
  const healthy = healthySince !== null && healthySince >= last && now - healthySince >= HEALTHY_MS;
  book.failedAt = healthy ? [] : book.failedAt.filter((at) => at > now - WINDOW_MS);
  book.failedAt.push(now);
  book.notBefore = now + retryInMs;
  const doublings = book.failedAt.length - (kind === 'boot' ? 0 : 1);
  const plainMs = doublings === 0 ? 0 : Math.min(CAP_MS, BASE_MS * 2 ** (doublings - 1));
  const leastMs = Math.floor(plainMs * LEAST_SHARE);
  const mostMs = Math.ceil(plainMs * (2 - LEAST_SHARE));
  if (retryInMs >= leastMs && retryInMs <= mostMs) return null;
  return `retry in ${retryInMs} ms after ${book.failedAt.length} failures, not ${plainMs} ms`;
}

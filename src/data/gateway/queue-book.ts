/** What the queue is asked to tell: how long requests waited, and who got no worker. */
import { DURATION_BOUNDS_MS, REJECTIONS } from '../../protocol.ts';
import type { QueueReport } from './messages.ts';

export type Rejection = (typeof REJECTIONS)[number];

export interface QueueBook {
  readonly waits: number[];
  waitSumMs: number;
  readonly rejected: number[];
  abandoned: number;
  retried: number;
  lost: number;
}

export function createQueueBook(): QueueBook {
  return {
    waits: Array.from({ length: DURATION_BOUNDS_MS.length + 1 }, () => 0),
    waitSumMs: 0,
    rejected: REJECTIONS.map(() => 0),
    abandoned: 0,
    retried: 0,
    lost: 0,
  };
}

/** Somebody got a worker after so long; 0 for those who never had to wait. */
export function countWait(book: QueueBook, waitMs: number): void {
  const bucket = DURATION_BOUNDS_MS.findIndex((bound) => waitMs <= bound);
  const index = bucket === -1 ? DURATION_BOUNDS_MS.length : bucket;
  book.waits[index] = (book.waits[index] ?? 0) + 1;
  book.waitSumMs += waitMs;
}

export function countRejection(book: QueueBook, reason: Rejection): void {
  const index = REJECTIONS.indexOf(reason);
  book.rejected[index] = (book.rejected[index] ?? 0) + 1;
}

export function reportQueue(book: QueueBook, depth: number, limit: number): QueueReport {
  const { waitSumMs, abandoned, retried, lost } = book;
  return {
    depth,
    limit,
    waits: [...book.waits],
    waitSumMs,
    rejected: [...book.rejected],
    abandoned,
    retried,
    lost,
  };
}

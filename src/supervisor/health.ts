/**
 * The app's own health check: asked of one worker, then of the next while the first is silent, and
 * whoever answers first has answered. Whoever asks meanwhile shares the answer.
 */
import { performance } from 'node:perf_hooks';
import type { WorkerId } from '../control/types.ts';
import type { AppAnswer } from './asks.ts';

export interface HealthOptions {
  /** Who may be asked, the likeliest to answer first. */
  readonly candidates: () => readonly WorkerId[];
  readonly ask: (worker: WorkerId, timeoutMs: number) => Promise<AppAnswer>;
  readonly timeoutMs: () => number;
}

/** Returns the function that asks; it rejects with a sentence when nobody answered in time. */
export function createHealth(options: HealthOptions): () => Promise<AppAnswer> {
  let current: Promise<AppAnswer> | null = null;
  return () => {
    current ??= askAround(options).finally(() => {
      current = null;
    });
    return current;
  };
}

// --- internal ---

/** More would only add load where load is the trouble. */
const WORKERS_ASKED_MAX = 4;

function askAround({ candidates, ask, timeoutMs }: HealthOptions): Promise<AppAnswer> {
  const waiting = candidates().slice(0, WORKERS_ASKED_MAX);
  const limitMs = timeoutMs();
  if (waiting.length === 0) return Promise.reject(new Error('no worker answers'));
  // Each has a fair part of the time for itself before the next one is asked as well.
  const shareMs = limitMs / waiting.length;
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    let asked = 0;
    let timer: NodeJS.Timeout | undefined;
    const askNext = (): void => {
      clearTimeout(timer);
      const worker = waiting.shift();
      if (worker === undefined) return;
      asked += 1;
      timer = setTimeout(askNext, shareMs);
      const leftMs = Math.max(1, Math.round(limitMs - (performance.now() - startedAt)));
      ask(worker, leftMs).then(
        (answer) => {
          clearTimeout(timer);
          waiting.length = 0;
          resolve(answer);
        },
        (error: Error) => {
          asked -= 1;
          if (waiting.length > 0) askNext();
          else if (asked === 0) {
            clearTimeout(timer);
            reject(error);
          }
        },
      );
    };
    askNext();
  });
}

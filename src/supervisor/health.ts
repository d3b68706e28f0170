/**
 * The app's own health check: asked of one worker, then of the next while the first is silent, and
 * whoever answers first has answered. Whoever asks meanwhile shares the answer.
 */
import type { WorkerId } from '../control/types.ts';
import type { AppAnswer } from './asks.ts';

export interface HealthOptions {
  /** Who may be asked, the likeliest to answer first. */
  candidates(): readonly WorkerId[];
  ask(worker: WorkerId, timeoutMs: number): Promise<AppAnswer>;
  timeoutMs(): number;
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
  const asked = candidates().slice(0, WORKERS_ASKED_MAX);
  const limitMs = timeoutMs();
  if (asked.length === 0) return Promise.reject(new Error('no worker is ready'));
  return new Promise((resolve, reject) => {
    let failed = 0;
    const timers: NodeJS.Timeout[] = [];
    const settle = (act: () => void): void => {
      for (const timer of timers) clearTimeout(timer);
      act();
    };
    const askNext = (worker: WorkerId, leftMs: number): void => {
      ask(worker, leftMs).then(
        (answer) => settle(() => resolve(answer)),
        (error: Error) => {
          failed += 1;
          if (failed === asked.length) settle(() => reject(error));
        },
      );
    };
    // Each has a fair part of the time for itself before the next one is asked as well.
    asked.forEach((worker, index) => {
      const afterMs = (limitMs / asked.length) * index;
      if (index === 0) askNext(worker, limitMs);
      else timers.push(setTimeout(() => askNext(worker, limitMs - afterMs), afterMs));
    });
  });
}

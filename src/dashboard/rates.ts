/** Requests per second out of counters that begin anew with every worker. */
import type { WorkerStatus } from '../control/status.ts';
import { servingOnly } from './client/serving.ts';
import type { PageStatus, SlotPoint } from './wire.ts';

/**
 * Workers report once a second, and so do we look: without a window every phase shift would be a
 * second without requests followed by one with twice as many.
 */
export const RATE_WINDOW_MS = 5000;

export interface Rates {
  /** Takes a look and tells, by slot, what it serves; `at` in milliseconds. */
  update(at: number, status: PageStatus): ReadonlyMap<number, SlotPoint>;
}

export function createRates(): Rates {
  let seen = new Map<string, number>();
  let looks: Look[] = [];
  return {
    update(at, status) {
      const isFirst = looks.length === 0;
      const now = new Map<string, number>();
      const served = new Map<number, number>();
      for (const worker of status.workers) {
        const id = `${worker.slot}:${worker.generation}`;
        // What a worker did before the first look was not done in this second.
        const before = seen.get(id) ?? (isFirst ? worker.requests : 0);
        now.set(id, worker.requests);
        const more = Math.max(0, worker.requests - before);
        served.set(worker.slot, (served.get(worker.slot) ?? 0) + more);
      }
      seen = now;
      const last = looks.at(-1);
      // After a suspension, or a clock that was set, the window would span what nobody saw.
      if (last !== undefined && (at <= last.at || at - last.at > RATE_WINDOW_MS)) looks = [];
      looks.push({ at, served });
      looks = looks.filter((look) => at - look.at <= RATE_WINDOW_MS);
      return points(status.workers, looks);
    },
  };
}

// --- internal ---

interface Look {
  readonly at: number;
  /** Requests since the look before, by slot. */
  readonly served: ReadonlyMap<number, number>;
}

function points(
  workers: readonly WorkerStatus[],
  looks: readonly Look[],
): ReadonlyMap<number, SlotPoint> {
  const [first, ...later] = looks;
  const seconds = ((looks.at(-1)?.at ?? 0) - (first?.at ?? 0)) / 1000;
  return new Map(
    servingOnly(workers).map((worker) => {
      const { slot } = worker;
      const served = later.reduce((sum, look) => sum + (look.served.get(slot) ?? 0), 0);
      return [
        slot,
        {
          memoryBytes: worker.memoryBytes > 0 ? worker.memoryBytes : null,
          requestsPerSecond: seconds > 0 ? served / seconds : null,
        },
      ];
    }),
  );
}

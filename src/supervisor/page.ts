/** What the live page sees: the status, and the latency of the last seconds. */
import { createDashboard, type Dashboard } from '../dashboard/dashboard.ts';
import type { PageStatus } from '../dashboard/wire.ts';
import type { Told } from '../control/types.ts';
import type { Status } from '../control/status.ts';
import { quantileOf } from '../metrics/quantile.ts';
import { DURATION_BOUNDS_MS } from '../protocol.ts';

export interface PageSources {
  status(): Status;
  /** Requests so far by duration: one count per bound of DURATION_BOUNDS_MS, one for the rest. */
  durations(): readonly number[];
}

export interface Page extends Pick<Dashboard, 'handle' | 'close'> {
  /** An event of the pool with this index. */
  told(told: Told, pool: number): void;
}

export function createPage(sources: PageSources): Page {
  const latency = createLatency(() => sources.durations());
  const dashboard = createDashboard({
    status(): PageStatus {
      const status = sources.status();
      const names = status.pools.map(({ name }) => name);
      const workers = status.workers.map((worker) => ({
        ...worker,
        slot: shownSlot(worker.slot, names.indexOf(worker.pool)),
      }));
      return { ...status, workers, latency: latency(Date.now()) };
    },
    now: () => Date.now(),
  });
  return {
    ...dashboard,
    told: (told, pool) =>
      dashboard.told(
        'slot' in told && told.slot !== null ? { ...told, slot: shownSlot(told.slot, pool) } : told,
      ),
  };
}

// --- internal ---

/** The page has one row of slots: those of the second pool are 1001 and up, more than any has. */
const SLOTS_PER_POOL = 1000;

function shownSlot(slot: number, pool: number): number {
  return slot + Math.max(0, pool) * SLOTS_PER_POOL;
}

/** Workers report each second: fewer would be one report's accident, more would be yesterday's. */
const WINDOW_MS = 5000;

type Latency = Required<PageStatus>['latency'];

function createLatency(durations: () => readonly number[]): (now: number) => Latency {
  let past: { readonly at: number; readonly counts: readonly number[] }[] = [];
  return (now) => {
    // A copy: the ledger counts on in the same list.
    const counts = [...durations()];
    past = [...past.filter(({ at }) => now - at <= WINDOW_MS), { at: now, counts }];
    const before = past[0]?.counts ?? counts;
    const recent = counts.map((count, index) => count - (before[index] ?? 0));
    return {
      p50Ms: quantileOf(0.5, recent, DURATION_BOUNDS_MS),
      p99Ms: quantileOf(0.99, recent, DURATION_BOUNDS_MS),
    };
  };
}

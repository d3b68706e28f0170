/** What one row of the catalog says, and how a row reads its samples out of a snapshot. */
import { DURATION_BOUNDS_MS } from '../protocol.ts';
import type { PoolSnapshot, SlotSnapshot, Snapshot } from './snapshot.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary';

/** Takes one sample: the values of the labels, the number, and what follows the name. */
export type Emit = (labels: readonly string[], value: number, suffix?: string) => void;

export interface Metric {
  /** `cofferdam_…`, with its unit at the end, and `_total` if it counts. */
  readonly name: string;
  readonly type: MetricType;
  /** The unit word that the name ends in, if it ends in one. */
  readonly unit: 'seconds' | 'bytes' | 'ratio' | null;
  /** Every one is bounded: never a pid, never a path. `le` of histograms is not among them. */
  readonly labels: readonly string[];
  readonly help: string;
  readonly read: (snapshot: Snapshot, emit: Emit) => void;
}

/** A metric of the whole instance. */
export function metric(
  row: Omit<Metric, 'labels' | 'unit'> & Partial<Pick<Metric, 'labels' | 'unit'>>,
): Metric {
  return { labels: [], unit: null, ...row };
}

type Row<Of> = Omit<Metric, 'labels' | 'unit' | 'read'> &
  Partial<Pick<Metric, 'labels' | 'unit'>> & { readonly read: (of: Of, emit: Emit) => void };

/** A metric of each pool: `pool` is its first label. */
export function poolMetric({ labels = [], unit = null, read, ...row }: Row<PoolSnapshot>): Metric {
  return {
    ...row,
    unit,
    labels: ['pool', ...labels],
    read({ pools }, emit) {
      for (const pool of pools) {
        read(pool, (values, value, suffix) => emit([pool.name, ...values], value, suffix));
      }
    },
  };
}

/** A metric of each slot: `pool` and `slot` are its first labels. */
export function slotMetric({ labels = [], ...row }: Row<SlotSnapshot>): Metric {
  return poolMetric({
    ...row,
    labels: ['slot', ...labels],
    read({ slots }, emit) {
      for (const slot of slots) {
        row.read(slot, (values, value) => emit([String(slot.slot), ...values], value));
      }
    },
  });
}

/** Emits a histogram of durations from its counts per bucket. */
export function emitDurations(counts: readonly number[], sumMs: number, emit: Emit): void {
  let total = 0;
  counts.forEach((count, index) => {
    total += count;
    const bound = DURATION_BOUNDS_MS[index];
    emit([bound === undefined ? '+Inf' : formatBound(bound)], total, '_bucket');
  });
  emit([], total, '_count');
  emit([], sumMs / 1000, '_sum');
}

// --- internal ---

/** OpenMetrics wants its bounds as floats: `1.0`, not `1`. */
function formatBound(boundMs: number): string {
  const seconds = String(boundMs / 1000);
  return seconds.includes('.') ? seconds : `${seconds}.0`;
}

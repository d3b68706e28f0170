/** p50 and p99 of the last seconds, out of a histogram that only ever counts up. */

/** Long enough for a p99 to mean something, short enough to see trouble come. */
export const LATENCY_WINDOW_MS = 10_000;

export interface Latency {
  /** Null when nothing was answered in the window. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface LatencyMeter {
  /** `counts`: requests so far per bucket, one for each bound and one for the rest. */
  read(at: number, counts: readonly number[]): Latency;
}

/** `boundsMs`: upper ends of the buckets, ascending. Between two bounds a share is interpolated. */
export function createLatencyMeter(boundsMs: readonly number[]): LatencyMeter {
  let looks: { readonly at: number; readonly counts: readonly number[] }[] = [];
  return {
    read(at, counts) {
      const last = looks.at(-1);
      // A clock that was set back, or counters that began anew.
      if (last !== undefined && (at < last.at || sum(counts) < sum(last.counts))) looks = [];
      if (last === undefined || at > last.at) looks.push({ at, counts: [...counts] });
      looks = looks.filter((look) => at - look.at <= LATENCY_WINDOW_MS);
      const first = looks[0]?.counts ?? counts;
      const recent = counts.map((count, bucket) => count - (first[bucket] ?? 0));
      return { p50Ms: quantile(boundsMs, recent, 0.5), p99Ms: quantile(boundsMs, recent, 0.99) };
    },
  };
}

// --- internal ---

function quantile(
  boundsMs: readonly number[],
  counts: readonly number[],
  share: number,
): number | null {
  const wanted = sum(counts) * share;
  if (wanted === 0) return null;
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    const from = boundsMs[bucket - 1] ?? 0;
    // Of what is slower than the last bound only that is known.
    const to = boundsMs[bucket] ?? from;
    if (below + count >= wanted) return from + ((to - from) * (wanted - below)) / count;
    below += count;
  }
  return null;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}

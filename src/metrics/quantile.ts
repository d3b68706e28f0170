/** Quantiles from the buckets of a histogram, as Prometheus' `histogram_quantile` makes them. */

/**
 * The value below which a share `q` (0..1) of all counts lies, interpolated within its bucket;
 * null when there are no counts. `counts` has one entry per bound and one for the rest, for which
 * the highest bound is the best answer there is.
 */
export function quantileOf(
  q: number,
  counts: readonly number[],
  bounds: readonly number[],
): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = q * total;
  let below = 0;
  for (const [index, upper] of bounds.entries()) {
    const count = counts[index] ?? 0;
    if (count > 0 && below + count >= rank) {
      const lower = bounds[index - 1] ?? 0;
      return lower + (upper - lower) * ((rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1) ?? null;
}

/** Numbers as people read them: `1 006 B`, `4.3 GB`, `2.6 h`. Used by every kind of report. */

/** Powers of ten, as disks and clouds are sold: 4.3 GB a day. Bytes below 10 000 stay exact. */
export function formatAmount(amount: number, unit: 'bytes' | 'count'): string {
  if (unit === 'count') return formatNumber(amount, Math.abs(amount) < 100 ? 2 : 0);
  const size = Math.abs(amount);
  if (size < 10_000) return `${formatNumber(amount, size < 10 ? 1 : 0)} B`;
  for (const [factor, word] of BYTE_STEPS) {
    if (size >= factor)
      return `${formatNumber(amount / factor, size >= 100 * factor ? 0 : 1)} ${word}`;
  }
  return `${formatNumber(amount, 0)} B`;
}

/** Seconds to `45 s`, `12 min`, `2.6 h`, `3.1 days`. */
export function formatSpan(seconds: number): string {
  if (seconds < 90) return `${formatNumber(seconds, 0)} s`;
  if (seconds < 90 * 60) return `${formatNumber(seconds / 60, 0)} min`;
  if (seconds < 48 * 3600) return `${formatNumber(seconds / 3600, 1)} h`;
  return `${formatNumber(seconds / 86_400, 1)} days`;
}

/** Groups thousands with a thin space, which no locale mistakes for a decimal sign. */
export function formatNumber(value: number, digits: number): string {
  const [whole = '0', fraction] = Math.abs(value).toFixed(digits).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, '\u2009');
  const zero = Number(whole) === 0 && Number(fraction ?? 0) === 0;
  const sign = value < 0 && !zero ? '-' : '';
  return sign + grouped + (fraction === undefined ? '' : `.${fraction}`);
}

// --- internal ---

const BYTE_STEPS = [
  [1e9, 'GB'],
  [1e6, 'MB'],
  [1e3, 'kB'],
] as const;

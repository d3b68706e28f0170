/**
 * Bytes, durations and shares, as text and back. Parsers return null for text that is not of their
 * form: who asked knows the better message.
 */

const BYTE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Largest first: the order in which a compound (`1h30m`) has to be written. */
const DURATION_UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

/** `512MiB`, `1.5GiB`, `200MB` (10^6), `64KiB`, `100B` → whole bytes; the unit is mandatory. */
export function parseBytes(text: string): number | null {
  const match = /^(\d{1,16}(?:\.\d{1,6})?) ?([kmgt]?i?b)$/i.exec(text.trim());
  const factor = BYTE_UNITS[match?.[2]?.toLowerCase() ?? ''];
  if (match?.[1] === undefined || factor === undefined) return null;
  const bytes = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** For people: at most three digits that count, `212MiB`, `1.5GiB`, `94.2KiB`. */
export function formatBytes(bytes: number): string {
  const { amount, unit } = scale(bytes);
  const digits = unit === 'B' || amount >= 100 ? 0 : amount >= 10 ? 1 : 2;
  return `${Number(amount.toFixed(digits))}${unit}`;
}

/** Loses nothing: `parseBytes(formatBytesExactly(n)) === n` for every whole n. */
export function formatBytesExactly(bytes: number): string {
  let unit = 0;
  let amount = bytes;
  while (amount !== 0 && amount % 1024 === 0 && unit < BINARY_UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${amount}${BINARY_UNITS[unit]}`;
}

/**
 * `500ms`, `30s`, `1.5s`, `1h30m`, `2d` → milliseconds; the unit is mandatory, the largest first.
 */
export function parseDuration(text: string): number | null {
  const parts = [...text.trim().matchAll(/(\d{1,12}(?:\.\d{1,6})?)(ms|[dhms])/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text.trim()) return null;
  let milliseconds = 0;
  let previous = Number.POSITIVE_INFINITY;
  for (const [, amount, name] of parts) {
    const factor = DURATION_UNITS.find(([unit]) => unit === name)?.[1] ?? Number.NaN;
    if (!(factor < previous)) return null;
    previous = factor;
    milliseconds += Number(amount) * factor;
  }
  return Number.isSafeInteger(Math.round(milliseconds)) ? Math.round(milliseconds) : null;
}

/** Loses nothing: `1h30m`, `12.345s`, `480ms`; `parseDuration(formatDuration(n)) === n`. */
export function formatDuration(milliseconds: number): string {
  let rest = Math.round(milliseconds);
  if (rest < 0) return `-${formatDuration(-rest)}`;
  if (rest < 1000) return `${rest}ms`;
  let text = '';
  for (const [unit, factor] of DURATION_UNITS) {
    if (unit === 's') return rest === 0 ? text : `${text}${rest / 1000}s`;
    const amount = Math.floor(rest / factor);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * factor;
  }
  return text;
}

/** (1, `worker`) → `1 worker`, (2, `worker`) → `2 workers`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `10%`, `12.5%` → 0.1, 0.125; the sign is mandatory. */
export function parseShare(text: string): number | null {
  const match = /^(\d{1,6}(?:\.\d{1,4})?) ?%$/.exec(text.trim());
  return match === null ? null : Number((Number(match[1]) / 100).toFixed(8));
}

/** 0.125 → `12.5%`. */
export function formatShare(share: number): string {
  return `${Number((share * 100).toFixed(4))}%`;
}

// --- internal ---

function scale(bytes: number): { amount: number; unit: (typeof BINARY_UNITS)[number] } {
  let unit = 0;
  let amount = bytes;
  // 1023.5 would be printed as 1024: a thousand of a unit is already one of the next.
  while (Math.abs(amount) >= 1000 && unit < BINARY_UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return { amount, unit: BINARY_UNITS[unit] ?? 'B' };
}

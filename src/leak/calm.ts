/** Names what else a rising curve was, when it was no leak. Pure. */
import { formatAmount } from './words.ts';
import { SIGNAL_WORDS, median } from './series.ts';
import type { Sample } from './series.ts';
import type { Finding, VerdictKind } from './verdict.ts';

export interface Calm {
  readonly kind: VerdictKind;
  readonly because: string;
}

/** The most interesting true statement about a series without a leak. */
export function nameCalm(samples: readonly Sample[], findings: readonly Finding[]): Calm {
  const first = samples[0];
  const last = samples.findLast((sample) => sample.phase === 'load');
  if (first === undefined || last === undefined) return { kind: 'no leak', because: 'no samples' };
  const load = samples.filter((sample) => sample.phase === 'load');
  return (
    nameCache(load, samples, findings) ??
    nameFragmentation(load) ??
    nameSawtooth(load) ??
    nameWarmup(first, load, last) ?? { kind: 'no leak', because: 'no floor rises' }
  );
}

// --- internal ---

const MIB = 2 ** 20;

/** A settled growth under load below it is JIT feedback and hash tables, not a cache. */
const CACHE_LEAST_BYTES = 512 * 1024;

/** A cache that filled while we watched, or one that empties itself when nobody asks. */
function nameCache(
  load: readonly Sample[],
  samples: readonly Sample[],
  findings: readonly Finding[],
): Calm | null {
  for (const signal of ['heap', 'external'] as const) {
    const finding = findings.find((one) => one.signal === signal);
    const value = (sample: Sample) => (signal === 'heap' ? sample.heapBytes : sample.externalBytes);
    const values = load.map(value);
    const half = values.length >> 1;
    const end = median(values.slice(half));
    const start = values[0] ?? end;
    const rest = samples.filter((sample) => sample.phase === 'rest').at(-1);
    const grown = end - start;
    if (rest !== undefined && grown >= 2 * CACHE_LEAST_BYTES && value(rest) < end - grown / 2) {
      const fallen = formatAmount(end - value(rest), 'bytes');
      const because = `${SIGNAL_WORDS[signal]} fell by ${fallen} at rest: entries expire`;
      return { kind: 'bounded cache', because };
    }
    const settled = finding?.looks.some((look) => look.class !== 'flat') === true;
    if (settled && grown >= CACHE_LEAST_BYTES) {
      const more = formatAmount(grown, 'bytes');
      const because = `${SIGNAL_WORDS[signal]} grew by ${more}, then stopped`;
      return { kind: 'bounded cache', because };
    }
  }
  return null;
}

/** Free chunks that malloc keeps: below it every busy process has them. */
const FRAGMENT_LEAST_BYTES = 8 * MIB;

function nameFragmentation(load: readonly Sample[]): Calm | null {
  const first = load[0];
  const last = load.at(-1);
  if (first?.mallocFreeBytes === undefined || last === undefined) return null;
  const free = last.mallocFreeBytes ?? 0;
  const grown = free - (first.mallocFreeBytes ?? 0);
  const inUse = last.nativeInUseBytes ?? 0;
  if (grown < FRAGMENT_LEAST_BYTES || free < inUse / 2) return null;
  return {
    kind: 'fragmentation',
    because:
      `malloc keeps ${formatAmount(free, 'bytes')} of freed memory ` +
      `(+${formatAmount(grown, 'bytes')}); what is in use is flat`,
  };
}

/** A saw that climbs so far above its floor looks like a leak on any memory graph. */
const SAW_LEAST_BYTES = 16 * MIB;

function nameSawtooth(load: readonly Sample[]): Calm | null {
  const teeth = load.map((sample) => sample.heapBeforeBytes - sample.heapUsedBytes);
  const tooth = Math.max(0, ...teeth);
  const first = load[0];
  const last = load.at(-1);
  const resident = (last?.rssBytes ?? 0) - (first?.rssBytes ?? 0);
  const floor = median(load.map((sample) => sample.heapUsedBytes));
  if (tooth < SAW_LEAST_BYTES || (tooth < floor && resident < SAW_LEAST_BYTES)) return null;
  return {
    kind: 'GC sawtooth',
    because:
      `the heap climbs up to ${formatAmount(tooth, 'bytes')} between collections ` +
      `and always falls back to ${formatAmount(floor, 'bytes')}`,
  };
}

/** Growth before the first look, or of code during it. */
const WARMUP_LEAST_BYTES = MIB;

function nameWarmup(first: Sample, load: readonly Sample[], last: Sample): Calm | null {
  const begin = load[0] ?? last;
  const before = begin.heapUsedBytes - first.heapUsedBytes;
  const during = last.heapUsedBytes - begin.heapUsedBytes;
  const grown = Math.max(before, before + during);
  if (grown < WARMUP_LEAST_BYTES) return null;
  return {
    kind: 'warm-up',
    because:
      `the heap grew by ${formatAmount(grown, 'bytes')} in the first requests ` +
      '(code, caches), then stopped',
  };
}

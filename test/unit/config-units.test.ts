import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatBytesExactly,
  formatDuration,
  formatShare,
  parseBytes,
  parseDuration,
  parseShare,
} from '../../src/config/units.ts';

/** mulberry32: the same numbers in every run, so that a failure can be repeated. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Spread over all magnitudes, with many round values among them. */
function samples(count: number, max: number): readonly number[] {
  const random = randomNumbers(1);
  const steps = [1, 60, 1000, 1024, 60_000, 2 ** 20, 3_600_000, 86_400_000];
  return Array.from({ length: count }, () => {
    const step = steps[Math.floor(random() * steps.length)] ?? 1;
    const amount = Math.floor(Math.exp(random() * Math.log(max / step)));
    return Math.min(max, amount * step);
  });
}

describe('bytes', () => {
  it.each([
    ['512MiB', 512 * 2 ** 20],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['64KiB', 65_536],
    ['200MB', 200_000_000],
    ['1GB', 1e9],
    ['17B', 17],
    ['2TiB', 2 * 2 ** 40],
    [' 512 mib ', 512 * 2 ** 20],
  ])('reads %s', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each([
    '512',
    '512M',
    '512m',
    'MiB',
    '-1MiB',
    '1e3MiB',
    '1,5GiB',
    '1MiB 2KiB',
    '',
    '9999999TiB',
  ])('refuses %j', (text) => {
    expect(parseBytes(text)).toBeNull();
  });

  it('reads back what it writes, exactly', () => {
    for (const bytes of [0, 1, 1023, 1024, 2 ** 53 - 1, ...samples(2000, 2 ** 46)]) {
      expect(parseBytes(formatBytesExactly(bytes)), String(bytes)).toBe(bytes);
    }
  });

  it('rounds for people, to less than 1 %', () => {
    expect(formatBytes(0)).toBe('0B');
    expect(formatBytes(212 * 2 ** 20 + 1000)).toBe('212MiB');
    expect(formatBytes(94.2 * 1024)).toBe('94.2KiB');
    expect(formatBytes(1.5 * 2 ** 30)).toBe('1.5GiB');
    expect(formatBytes(1023 * 1024)).toBe('1MiB');
    for (const bytes of samples(2000, 2 ** 46)) {
      const text = formatBytes(bytes);
      expect(text).toMatch(/^\d{1,3}(\.\d{1,2})?[KMGT]?i?B$/);
      expect(Math.abs((parseBytes(text) ?? NaN) - bytes)).toBeLessThanOrEqual(bytes * 0.01);
    }
  });
});

describe('durations', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5s', 1500],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['1m30.061s', 90_061],
    ['1s500ms', 1500],
  ])('reads %s', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each(['30', '30sec', '5min', '30m1h', '1s1s', '-1s', 's', '', '1h 30m', '1.s'])(
    'refuses %j',
    (text) => {
      expect(parseDuration(text)).toBeNull();
    },
  );

  it('reads back what it writes, exactly', () => {
    for (const milliseconds of [0, 1, 999, 1000, 59_999, ...samples(2000, 1e10)]) {
      const text = formatDuration(milliseconds);
      expect(parseDuration(text), text).toBe(milliseconds);
    }
  });

  it('writes the largest unit first and nothing that is zero', () => {
    expect(formatDuration(480)).toBe('480ms');
    expect(formatDuration(12_345)).toBe('12.345s');
    expect(formatDuration(90_000)).toBe('1m30s');
    expect(formatDuration(86_400_000)).toBe('1d');
  });
});

describe('shares', () => {
  it('reads and writes percent only', () => {
    expect(parseShare('10%')).toBe(0.1);
    expect(parseShare('12.5 %')).toBe(0.125);
    for (const text of ['10', '0.1', '%', '-1%']) expect(parseShare(text)).toBeNull();
    for (let permille = 0; permille <= 2000; permille += 1) {
      expect(parseShare(formatShare(permille / 1000))).toBe(permille / 1000);
    }
  });
});

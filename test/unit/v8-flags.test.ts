/** The heap limits of a worker: worked examples of docs/decisions/0011. */
import { describe, expect, test } from 'vitest';
import { v8FlagsFor } from '../../src/config/v8-flags.ts';

const MIB = 2 ** 20;
const REQUEST = {
  shareBytes: 148 * MIB,
  maxMemoryBytes: 0,
  ownLimitBytes: 4144 * MIB,
  nodeMajor: 24,
  userArgs: [],
};

describe('v8FlagsFor', () => {
  test.each([
    ['a share of 512 MiB', {}, 8, 280],
    ['the same on Node 20', { nodeMajor: 20 }, 16, 264],
    ['a small share', { shareBytes: 100 * MIB }, 2, 196],
    ['a small share on Node 20', { shareBytes: 100 * MIB, nodeMajor: 20 }, 4, 192],
    ['a share that is too small to live', { shareBytes: 20 * MIB }, 2, 48],
    ['a large machine: never more than V8 itself', { shareBytes: 9000 * MIB }, 8, 4144],
    ['a hard limit above the share', { maxMemoryBytes: 300 * MIB }, 8, 412],
  ])('%s', (_, change, semi, old) => {
    expect(v8FlagsFor({ ...REQUEST, ...change })).toEqual([
      `--max-semi-space-size=${semi}`,
      `--max-old-space-size=${old}`,
    ]);
  });

  test('what the user has set is the user’s', () => {
    const flagsWith = (...userArgs: string[]): readonly string[] =>
      v8FlagsFor({ ...REQUEST, userArgs });
    expect(flagsWith('--max-old-space-size=64')).toEqual(['--max-semi-space-size=8']);
    expect(flagsWith('--max_semi_space_size', '64')).toEqual(['--max-old-space-size=280']);
    expect(flagsWith('--max-old-space-size-percentage=50')).toEqual([]);
  });
});

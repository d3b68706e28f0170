/** The rows of the settings table that say how memory is kept below its budget. */
import { BARE_WORKER_BYTES } from './budget.ts';
import { MINUTE_MS, SECOND_MS } from './durations.ts';
import type { SettingRow } from './setting-row.ts';

export const SIZE_LIMITS = {
  min: BARE_WORKER_BYTES,
  max: 2 ** 46,
  reason: 'a worker needs 32MiB before it does any work',
  lowCode: 'COF_LIMIT_TOO_LOW',
} as const;

export const MEMORY_SETTINGS = [
  {
    key: 'memory-budget',
    kind: 'bytes',
    default: 'auto',
    defaultText: 'auto: 90% of the cgroup limit, else 80% of RAM',
    auto: true,
    limits: SIZE_LIMITS,
    instance: true,
    group: 'Memory',
    sentence: 'Memory that supervisor, workers and surge may use together.',
  },
  {
    key: 'predict',
    kind: 'boolean',
    default: true,
    group: 'Memory',
    sentence: 'Replace a growing worker so early that it never reaches --max-memory or the budget.',
  },
  {
    key: 'min-age',
    kind: 'duration',
    default: 5 * SECOND_MS,
    limits: {
      min: 0,
      max: 60 * MINUTE_MS,
      reason: 'longer, and a fast leak would reach the hard limit',
    },
    group: 'Memory',
    sentence: 'A worker younger than this is replaced for its memory only at --max-memory.',
  },
  {
    key: 'heal',
    kind: 'boolean',
    default: true,
    group: 'Memory',
    sentence: 'Ask a worker that has been idle for 10s to collect the garbage of its last burst.',
  },
  {
    key: 'v8-flags',
    kind: 'enum',
    default: 'auto',
    defaultText: 'auto: from the share of each worker',
    choices: ['auto', 'off'],
    group: 'Memory',
    sentence: 'Give each worker heap limits that fit the budget, unless --node-args has its own.',
  },
] as const satisfies readonly SettingRow[];

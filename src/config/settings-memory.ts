/** The rows of the settings table that say how memory is kept below its budget. */
import { FLOOR_BYTES } from './budget.ts';
import { MINUTE_MS, SECOND_MS } from './durations.ts';
import type { SettingRow } from './setting-row.ts';

/** More than any machine has. */
const SIZE_MAX = 2 ** 46;

/** A Node worker needs more, which is checked where the kind is known. */
export const WORKER_SIZE_LIMITS = {
  min: FLOOR_BYTES.command,
  max: SIZE_MAX,
  reason: 'no program that serves HTTP needs less',
  lowCode: 'COF_LIMIT_TOO_LOW',
} as const;

const BUDGET_LIMITS = {
  min: FLOOR_BYTES.node,
  max: SIZE_MAX,
  reason: 'supervisor and one worker need more',
  lowCode: 'COF_LIMIT_TOO_LOW',
} as const;

export const MEMORY_SETTINGS = [
  {
    key: 'memory-budget',
    kind: 'bytes',
    default: 'auto',
    defaultText: 'auto: 90% of the cgroup limit, else 80% of RAM',
    auto: true,
    limits: BUDGET_LIMITS,
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

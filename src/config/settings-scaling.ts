/** The rows of the settings table that say how the number of workers follows the load. */
import { MINUTE_MS, SECOND_MS } from './durations.ts';
import type { SettingRow } from './setting-row.ts';

export const SCALING_SETTINGS = [
  {
    key: 'strategy',
    kind: 'enum',
    default: 'static',
    choices: ['static', 'dynamic', 'ondemand'],
    group: 'Workers',
    sentence: 'Always as many workers, as many as the load needs, or none while nobody asks.',
    elsewhere: ['pm', 'scaling', 'autoscale'],
  },
  {
    key: 'spare',
    kind: 'integer',
    default: 1,
    limits: { min: 0, max: 1024, reason: 'idle workers cannot be less than none' },
    group: 'Workers',
    sentence: 'Idle workers that --strategy dynamic keeps beside the busy ones.',
    elsewhere: ['min-spare-servers', 'spare-servers', 'max-spare-servers'],
  },
  {
    key: 'idle-timeout',
    kind: 'duration',
    default: 10 * SECOND_MS,
    limits: { min: SECOND_MS, max: 60 * MINUTE_MS, reason: 'workers report each second' },
    group: 'Workers',
    sentence: 'Send a worker away that dynamic or ondemand did not need for so long.',
    elsewhere: ['process-idle-timeout', 'sleep-after'],
  },
] as const satisfies readonly SettingRow[];

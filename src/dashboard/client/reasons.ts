/** Signs and words for why a worker was replaced: a letter tells more than a color. */
import type { RecycleReason } from '../../control/types.ts';

export interface Reason {
  /** One letter, for the charts. */
  readonly sign: string;
  readonly text: string;
  /** Planned replacements lose nothing; the others do. */
  readonly isBad: boolean;
}

export const REASONS: Readonly<Record<RecycleReason, Reason>> = {
  max_requests: { sign: 'R', text: 'requests', isBad: false },
  max_memory: { sign: 'M', text: 'memory limit', isBad: false },
  budget: { sign: 'B', text: 'budget', isBad: false },
  max_age: { sign: 'A', text: 'age', isBad: false },
  idle: { sign: 'I', text: 'idle', isBad: false },
  predicted: { sign: 'P', text: 'predicted', isBad: false },
  request_timeout: { sign: 'T', text: 'request timeout', isBad: true },
  unresponsive: { sign: 'U', text: 'unresponsive', isBad: true },
  crash: { sign: '×', text: 'crash', isBad: true },
  boot_failure: { sign: '!', text: 'boot failure', isBad: true },
  reload: { sign: 'L', text: 'reload', isBad: false },
  scale_down: { sign: 'S', text: 'scale down', isBad: false },
  manual: { sign: 'H', text: 'by hand', isBad: false },
};

/** How full the pool is: the shares by which a person sees what will run out first. */
import type { WorkerStatus } from '../../control/status.ts';
import { servingOnly } from './serving.ts';
import { slotName } from './slot-name.ts';
import type { PageStatus } from '../wire.ts';
import { UNKNOWN, formatBytes, formatShare } from './format.ts';

export type Level = 'fine' | 'high' | 'full';

export interface Gauge {
  readonly name: string;
  /** The level in a word with a sign, so that nobody needs to see red. */
  readonly word: string;
  /** 0..1, may be above; null when it cannot be known or there is no limit. */
  readonly share: number | null;
  readonly level: Level;
  readonly detail: string;
}

/** Where a share begins to be worth a look, and where something must be done. */
const HIGH = 0.8;
const FULL = 0.95;

/** A worker at its limit is no disaster: it is replaced, which is what the limit is for. */
const WORDS = {
  use: { fine: 'fine', high: '▲ high', full: '■ full' },
  limit: { fine: 'fine', high: '▲ soon', full: '■ due' },
  serving: { fine: 'all', high: '▲ not all', full: '■ none' },
} as const;

export function gaugesOf(status: PageStatus): readonly Gauge[] {
  const serving = servingOnly(status.workers);
  const ready = serving.filter(({ state }) => state === 'ready').length;
  const nearest = highest(serving, ({ memoryBytes, limitBytes }) =>
    limitBytes > 0 ? memoryBytes / limitBytes : null,
  );
  const busiest = highest(serving, ({ eventLoopUtilization }) => eventLoopUtilization);
  const silent = serving.filter(({ responsive }) => !responsive).length;
  const nameOf = (slot: number): string => slotName(slot, status).replace('Slot', 'slot');
  const { treeBytes, budget } = status;
  const level = ready - silent === 0 ? 'full' : ready - silent < serving.length ? 'high' : 'fine';
  return [
    gauge(
      'Memory budget',
      'use',
      budget.bytes > 0 ? treeBytes / budget.bytes : null,
      () => `${formatBytes(treeBytes)} of ${formatBytes(budget.bytes)}`,
    ),
    gauge('Nearest memory limit', 'limit', nearest?.share ?? null, () => {
      const { slot, memoryBytes, limitBytes } = nearest!.worker;
      return `${nameOf(slot)}: ${formatBytes(memoryBytes)} of ${formatBytes(limitBytes)}`;
    }),
    gauge('Busiest event loop', 'use', busiest?.share ?? null, () => nameOf(busiest!.worker.slot)),
    {
      name: 'Serving',
      share: serving.length > 0 ? (ready - silent) / serving.length : 0,
      level,
      word: WORDS.serving[level],
      detail: `${ready} of ${serving.length} ready${silent > 0 ? `, ${silent} do not answer` : ''}`,
    },
  ];
}

// --- internal ---

function gauge(
  name: string,
  words: 'use' | 'limit',
  share: number | null,
  detail: () => string,
): Gauge {
  if (share === null) {
    return { name, word: UNKNOWN, share, level: 'fine', detail: 'no limit, or not known' };
  }
  const level = share >= FULL ? 'full' : share >= HIGH ? 'high' : 'fine';
  const word = WORDS[words][level];
  return { name, word, share, level, detail: `${detail()} (${formatShare(share)})` };
}

function highest(
  workers: readonly WorkerStatus[],
  shareOf: (worker: WorkerStatus) => number | null,
): { readonly worker: WorkerStatus; readonly share: number } | null {
  return workers.reduce<{ worker: WorkerStatus; share: number } | null>((best, worker) => {
    const share = shareOf(worker);
    return share !== null && share > (best?.share ?? -1) ? { worker, share } : best;
  }, null);
}

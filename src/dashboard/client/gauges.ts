/** How full the pool is: the shares by which a person sees what will run out first. */
import { servingOnly } from './serving.ts';
import type { PageStatus, PageWorker } from '../wire.ts';
import { formatBytes, formatShare } from './format.ts';

export type Level = 'fine' | 'high' | 'full';

export interface Gauge {
  readonly name: string;
  /** 0..1, may be above; null when it cannot be known or there is no limit. */
  readonly share: number | null;
  readonly level: Level;
  readonly detail: string;
}

/** Where a share begins to be worth a look, and where something must be done. */
const HIGH = 0.8;
const FULL = 0.95;

export function gaugesOf(status: PageStatus): readonly Gauge[] {
  const serving = servingOnly(status.workers);
  const ready = serving.filter(({ state }) => state === 'ready').length;
  const nearest = highest(serving, ({ memoryBytes, limitBytes }) =>
    limitBytes > 0 ? memoryBytes / limitBytes : null,
  );
  const busiest = highest(serving, ({ eventLoopUtilization }) => eventLoopUtilization ?? null);
  const silent = serving.filter(({ responsive }) => responsive === false).length;
  const { treeBytes, budget } = status;
  return [
    gauge(
      'Memory budget',
      budget.bytes > 0 ? treeBytes / budget.bytes : null,
      () => `${formatBytes(treeBytes)} of ${formatBytes(budget.bytes)}`,
    ),
    gauge('Nearest memory limit', nearest?.share ?? null, () => {
      const { slot, memoryBytes, limitBytes } = nearest!.worker;
      return `slot ${slot}: ${formatBytes(memoryBytes)} of ${formatBytes(limitBytes)}`;
    }),
    gauge('Busiest event loop', busiest?.share ?? null, () => `slot ${busiest!.worker.slot}`),
    {
      name: 'Serving',
      share: serving.length > 0 ? (ready - silent) / serving.length : 0,
      level: ready - silent === 0 ? 'full' : ready - silent < serving.length ? 'high' : 'fine',
      detail: `${ready} of ${serving.length} ready${silent > 0 ? `, ${silent} do not answer` : ''}`,
    },
  ];
}

// --- internal ---

function gauge(name: string, share: number | null, detail: () => string): Gauge {
  if (share === null) return { name, share, level: 'fine', detail: 'no limit, or not known' };
  const level = share >= FULL ? 'full' : share >= HIGH ? 'high' : 'fine';
  return { name, share, level, detail: `${detail()} (${formatShare(share)})` };
}

function highest(
  workers: readonly PageWorker[],
  shareOf: (worker: PageWorker) => number | null,
): { readonly worker: PageWorker; readonly share: number } | null {
  return workers.reduce<{ worker: PageWorker; share: number } | null>((best, worker) => {
    const share = shareOf(worker);
    return share !== null && share > (best?.share ?? -1) ? { worker, share } : best;
  }, null);
}

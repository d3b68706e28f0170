/** Which worker of a slot serves; shared by server and browser, so that both draw the same line. */
import type { WorkerStatus } from '../../control/status.ts';

/** One worker a slot, by slot: of several the one that serves, or will, or did last. */
export function servingOnly(workers: readonly WorkerStatus[]): readonly WorkerStatus[] {
  const serving = new Map<number, WorkerStatus>();
  for (const worker of workers) {
    const other = serving.get(worker.slot);
    if (other === undefined || rank(worker) >= rank(other)) serving.set(worker.slot, worker);
  }
  return [...serving.values()].toSorted((a, b) => a.slot - b.slot);
}

// --- internal ---

/** A draining worker still is the slot until its replacement serves. */
const RANKS = ['killing', 'stopping', 'booting', 'lingering', 'draining', 'ready'];

function rank(worker: WorkerStatus): number {
  return RANKS.indexOf(worker.state);
}

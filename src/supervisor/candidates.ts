/** Which workers could take a connection over. */
import type { WorkerId } from '../control/types.ts';
import type { ListenKey } from '../protocol.ts';
import type { Candidate } from './relay.ts';

/** What a worker is judged by. */
export interface Candidacy {
  readonly phase: string;
  /** Addresses it listens on. */
  readonly heard: ReadonlySet<ListenKey>;
  readonly connections: number;
  readonly reportedAt: number;
}

export function candidatesFor(
  key: ListenKey,
  members: ReadonlyMap<WorkerId, Candidacy>,
  { now, stopping }: { readonly now: number; readonly stopping: boolean },
): Candidate[] {
  return [...members].flatMap(([worker, { phase, heard, connections, reportedAt }]) => {
    const draining = phase === 'draining';
    // Otherwise a connection waits for the next worker rather than to go round among leaving ones.
    if (!heard.has(key) || (phase !== 'ready' && !(draining && stopping))) return [];
    return [{ worker, connections, draining, responsive: now - reportedAt < RESPONSIVE_MS }];
  });
}

// --- internal ---

/** A report comes each second; a worker that missed two is not given other workers' connections. */
const RESPONSIVE_MS = 2500;

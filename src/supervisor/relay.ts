/**
 * Hands idle client connections from a worker that drains to a sibling. Our copy of each
 * connection is kept until the sibling says that it has it: should the sibling die before, another
 * one gets it.
 */
import type { WorkerId } from '../control/types.ts';
import type { ListenKey, SupervisorMessage } from '../protocol.ts';
import type { RawHandle } from './worker-process.ts';

/** What the relay must know of the workers that could take a connection. */
export interface Candidate {
  readonly worker: WorkerId;
  readonly connections: number;
  /** It leaves, too: better than nobody. */
  readonly draining: boolean;
  /** False for a worker whose event loop did not report lately: the client would wait with it. */
  readonly responsive: boolean;
}

export interface RelayPort {
  /** Workers that are or were ready, and listen or listened on that address. */
  candidates(key: ListenKey): readonly Candidate[];
  send(worker: WorkerId, message: SupervisorMessage, handle: RawHandle): void;
  /** One that waited or was on its way does so no more. */
  settled?(): void;
}

export interface Relay {
  /** A connection that its worker gave up; the relay owns the handle from now on. */
  offer(key: ListenKey, handle: RawHandle, fresh: boolean): void;
  adopted(worker: WorkerId, id: number, ok: boolean): void;
  /** The worker died: what it had not taken over yet goes to another one. */
  workerGone(worker: WorkerId): void;
  /** A worker became ready: connections that found no sibling go there. */
  workerReady(): void;
  counts(): RelayCounts;
  /** Closes everything still held. */
  close(): void;
}

export interface RelayCounts {
  readonly moved: number;
  /** Closed because no sibling would take them; a client may have lost a request by it. */
  readonly lost: number;
  readonly pending: number;
}

interface Parcel {
  readonly id: number;
  readonly key: ListenKey;
  readonly handle: RawHandle;
  /** Nothing ever came on it. */
  readonly fresh: boolean;
  /** Workers that refused it: not asked again while there are others. */
  readonly refused: Set<WorkerId>;
  /** One that refused it was asked a second time. */
  insisted: boolean;
  target: WorkerId | null;
}

/** Descriptors are a bounded resource; past that many on their way the oldest is closed. */
const PENDING_MAX = 8192;

export function createRelay(port: RelayPort): Relay {
  const parcels = new Map<number, Parcel>();
  /** Parcels on their way, by worker: it has not counted them in its own reports yet. */
  const onTheWay = new Map<WorkerId, number>();
  const counts = { moved: 0, lost: 0 };
  let lastId = 0;

  const aim = (parcel: Parcel, target: WorkerId | null): void => {
    if (parcel.target !== null) {
      onTheWay.set(parcel.target, (onTheWay.get(parcel.target) ?? 1) - 1);
    }
    parcel.target = target;
    if (target !== null) onTheWay.set(target, (onTheWay.get(target) ?? 0) + 1);
  };

  const settle = (parcel: Parcel, outcome: 'moved' | 'lost'): void => {
    aim(parcel, null);
    parcels.delete(parcel.id);
    parcel.handle.close();
    counts[outcome] += 1;
    port.settled?.();
  };

  const dispatch = (parcel: Parcel): void => {
    const { key, id, fresh, handle, refused } = parcel;
    const candidates = port.candidates(key);
    const willing = candidates.filter(({ worker }) => !refused.has(worker));
    // All are full, or do not listen there any more. A client that was let in once must not wait
    // for ever: one of them takes it all the same, or it is closed.
    const evenIfFull = willing.length === 0 && candidates.length > 0;
    if (evenIfFull && parcel.insisted) return settle(parcel, 'lost');
    parcel.insisted ||= evenIfFull;
    const target = choose(evenIfFull ? candidates : willing, onTheWay);
    aim(parcel, target);
    if (target !== null) port.send(target, { type: 'adopt', key, id, fresh, evenIfFull }, handle);
  };

  const redispatchOf = (wanted: WorkerId | null): void => {
    for (const parcel of parcels.values()) if (parcel.target === wanted) dispatch(parcel);
  };

  return {
    offer(key, handle, fresh) {
      lastId += 1;
      const refused = new Set<WorkerId>();
      const parcel = { id: lastId, key, handle, fresh, refused, insisted: false, target: null };
      parcels.set(parcel.id, parcel);
      dispatch(parcel);
      const oldest = parcels.values().next().value;
      if (parcels.size > PENDING_MAX && oldest !== undefined) settle(oldest, 'lost');
    },
    adopted(worker, id, ok) {
      const parcel = parcels.get(id);
      if (parcel === undefined || parcel.target !== worker) return;
      if (ok) return settle(parcel, 'moved');
      parcel.refused.add(worker);
      dispatch(parcel);
    },
    workerGone(worker) {
      redispatchOf(worker);
      onTheWay.delete(worker);
    },
    workerReady: () => redispatchOf(null),
    counts: () => ({ ...counts, pending: parcels.size }),
    close() {
      for (const parcel of parcels.values()) settle(parcel, 'lost');
    },
  };
}

// --- internal ---

/** The least loaded worker of the best kind that there is. */
function choose(
  candidates: readonly Candidate[],
  onTheWay: ReadonlyMap<WorkerId, number>,
): WorkerId | null {
  let best: { worker: WorkerId; load: number; rank: number } | null = null;
  for (const candidate of candidates) {
    const { worker } = candidate;
    const rank = rankOf(candidate);
    const load = candidate.connections + (onTheWay.get(worker) ?? 0);
    const better = best === null || rank > best.rank || (rank === best.rank && load < best.load);
    if (better) best = { worker, load, rank };
  }
  return best?.worker ?? null;
}

function rankOf({ draining, responsive }: Candidate): number {
  if (draining) return 0;
  return responsive ? 2 : 1;
}

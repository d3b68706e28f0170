/** The last hour of a pool and of each of its slots, in bounded memory. */
import { FINE_MS, createTrack, type Keep, type Track } from './track.ts';
import type { Columns, History, PoolPoint, SlotPoint } from './wire.ts';

/**
 * Two tracks a slot: 5.2 KiB each slot, 21 KiB for the pool, 1.3 MiB at this bound. Slots above it
 * are not drawn.
 */
export const SLOTS_MAX = 256;

export interface PoolHistory {
  /** Adds one second. `at`: milliseconds since 1970. */
  push(at: number, pool: PoolPoint, slots: ReadonlyMap<number, SlotPoint>): void;
  read(): History;
}

export function createHistory(): PoolHistory {
  let state = emptyState();
  return {
    push(at, pool, slots) {
      // The clock was set back: times must ascend, so the hour begins anew.
      if (at < state.lastAt - FINE_MS) state = emptyState();
      state.lastAt = Math.max(at, state.lastAt + 1);
      for (const slot of slots.keys()) openSlot(state, slot);
      state.pushed += 1;
      state.times.push(state.lastAt);
      pushPoint(state.pool, pool);
      for (const [slot, tracks] of state.slots) pushPoint(tracks, slots.get(slot) ?? NO_WORKER);
    },
    read: () => ({
      times: state.times.read(),
      pool: readColumns<PoolPoint>(state.pool),
      slots: Object.fromEntries(
        [...state.slots].map(([slot, tracks]) => [slot, readColumns<SlotPoint>(tracks)]),
      ),
    }),
  };
}

// --- internal ---

type Tracks<Point> = { readonly [Name in keyof Point]: Track };

interface State {
  readonly times: Track;
  readonly pool: Tracks<PoolPoint>;
  readonly slots: Map<number, Tracks<SlotPoint>>;
  pushed: number;
  lastAt: number;
}

const POOL_KEEPS: { readonly [Name in keyof PoolPoint]: Keep } = {
  treeBytes: 'highest',
  supervisorBytes: 'highest',
  requestsPerSecond: 'mean',
  p50Ms: 'mean',
  p99Ms: 'highest',
  inFlight: 'highest',
};

const SLOT_KEEPS: { readonly [Name in keyof SlotPoint]: Keep } = {
  memoryBytes: 'highest',
  requestsPerSecond: 'mean',
};

const NO_WORKER: SlotPoint = { memoryBytes: null, requestsPerSecond: null };

function emptyState(): State {
  return {
    times: createTrack('last', 'double'),
    pool: createTracks<PoolPoint>(POOL_KEEPS),
    slots: new Map(),
    pushed: 0,
    lastAt: -Infinity,
  };
}

/** A slot that comes later has an empty past: all tracks have the same length and buckets. */
function openSlot(state: State, slot: number): void {
  if (state.slots.has(slot) || state.slots.size >= SLOTS_MAX) return;
  const tracks = createTracks<SlotPoint>(SLOT_KEEPS);
  for (const track of Object.values(tracks)) track.skip(state.pushed);
  state.slots.set(slot, tracks);
}

function createTracks<Point>(keeps: { readonly [Name in keyof Point]: Keep }): Tracks<Point> {
  const entries = Object.entries<Keep>(keeps).map(([name, keep]) => [name, createTrack(keep)]);
  return Object.fromEntries(entries) as Tracks<Point>;
}

function pushPoint<Point extends PoolPoint | SlotPoint>(tracks: Tracks<Point>, point: Point): void {
  for (const name of Object.keys(tracks) as (keyof Point)[]) {
    const value: unknown = point[name];
    tracks[name].push(typeof value === 'number' ? value : NaN);
  }
}

function readColumns<Point>(tracks: Tracks<Point>): Columns<Point> {
  const entries = Object.entries<Track>(tracks).map(([name, track]) => [
    name,
    track.read().map(roundOff),
  ]);
  return Object.fromEntries(entries) as Columns<Point>;
}

/** Single precision has seven digits; a number of more is noise that the browser must download. */
function roundOff(value: number): number | null {
  return Number.isNaN(value) ? null : Number(value.toPrecision(7));
}

/** Snapshots for the tests of metrics: a quiet one, and one with as many workers as one likes. */
import { RECYCLE_REASONS } from '../../src/control/types.ts';
import { createLedger } from '../../src/metrics/ledger.ts';
import type { PoolSnapshot, SlotSnapshot, Snapshot } from '../../src/metrics/snapshot.ts';
import { DURATION_BOUNDS_MS } from '../../src/protocol.ts';

export function snapshotOf(pools: readonly PoolSnapshot[]): Snapshot {
  return {
    version: '0.1.0',
    node: 'v20.20.2',
    startedAtSeconds: 1_790_000_000.123,
    budgetBytes: 512 * 2 ** 20,
    treeBytes: 300 * 2 ** 20,
    supervisorBytes: 20 * 2 ** 20,
    reloads: { success: 0, failure: 0, lastOk: true },
    probes: { live: true, ready: true, started: true },
    pools,
  };
}

/** Every number in it is as long as it gets in practice. */
export function poolOf(name: string, slots: number): PoolSnapshot {
  const zeros = Object.fromEntries(RECYCLE_REASONS.map((reason) => [reason, 0]));
  return {
    name,
    size: slots,
    limitBytes: 268_435_456,
    floorAboveLimit: false,
    budgetInSeconds: Infinity,
    recyclerLoad: 0.1,
    workersByState: { ready: slots },
    recycles: zeros as PoolSnapshot['recycles'],
    recyclesInProgress: 0,
    crashes: 0,
    bootFailures: 0,
    counters: createLedger().counters(),
    inFlight: 0,
    longLived: 0,
    connections: 0,
    connectionsMoved: 0,
    connectionsLost: 0,
    capacityLostWorkerSeconds: 0,
    saturation: 0,
    queue: {
      depth: 0,
      waits: [...DURATION_BOUNDS_MS, 0].map(() => 0),
      waitSumMs: 0,
      rejected: [0, 0, 0, 0],
      abandoned: 0,
      retried: 0,
    },
    slots: Array.from({ length: slots }, (_, index) => slotOf(index + 1)),
  };
}

export function slotOf(slot: number): SlotSnapshot {
  return {
    slot,
    requests: 123_456_789,
    privateBytes: 234_567_890,
    rssBytes: 345_678_901,
    pssBytes: 245_678_901,
    heapUsedBytes: 123_456_789,
    externalBytes: 12_345_678,
    floorBytes: 54_321_098,
    slopeBytesPerSecond: 12_345,
    slopeBytesPerRequest: 12_345,
    limitInSeconds: 23_456,
    eventLoopUtilization: 0.789,
    eventLoopLagMs: 123.4,
  };
}

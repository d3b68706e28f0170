/** The moves by which the numbers of a worker become known: its reports, and its memory. */
import type { WorkerReport } from '../protocol.ts';
import { grow } from './growth.ts';
import { countStrikes } from './recycling.ts';
import { become, watched, type Handler } from './worker-moves.ts';
import type { Worker, WorkerIn } from './worker.ts';

export const noteReport: Handler<Worker, 'report'> = (worker, event, { now }) =>
  become(worker, {
    report: event.report,
    lagMs: event.lagMs ?? 0,
    lastReportAt: now,
    busyAt: busyAtOf(worker, event.report, now),
  });

export const noteMemory: Handler<Worker, 'sample'> = (worker, { memoryBytes }, { now }) =>
  become(worker, { memoryBytes, sampledAt: now });

export const reportReady: Handler<WorkerIn<'ready'>, 'report'> = (worker, event, situation) =>
  become(worker, {
    report: event.report,
    lagMs: event.lagMs ?? 0,
    lastReportAt: situation.now,
    busyAt: busyAtOf(worker, event.report, situation.now),
    life: watched(situation),
  });

export const sampleReady: Handler<WorkerIn<'ready'>, 'sample'> = (
  worker,
  { memoryBytes },
  { now, policy },
) => {
  const first = worker.floorBytes === null;
  const sampled = {
    ...worker,
    memoryBytes,
    sampledAt: now,
    floorBytes: worker.floorBytes ?? memoryBytes,
    growth: grow(worker.growth, { requests: worker.report.requests, memoryBytes, at: now }),
  };
  return become(
    sampled,
    { softStrikes: countStrikes(sampled, policy, now) },
    [],
    first ? { type: 'floor' } : null,
  );
};

// --- internal ---

function busyAtOf(worker: Worker, report: WorkerReport, now: number): number {
  const idle = report.requests === worker.report.requests && report.inFlight === 0;
  return idle ? worker.busyAt : now;
}

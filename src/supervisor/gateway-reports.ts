/** Adds up what several gateways in front of the same workers report. */
import type { QueueReport } from '../data/gateway/messages.ts';
import type { WorkerReport } from '../protocol.ts';

/** `pastRequests`: those that it answered through gateways that are gone. */
export function addReports(reports: readonly WorkerReport[], pastRequests: number): WorkerReport {
  const sum = (read: (report: WorkerReport) => number): number =>
    reports.reduce((total, report) => total + read(report), 0);
  return {
    requests: pastRequests + sum(({ requests }) => requests),
    inFlight: sum(({ inFlight }) => inFlight),
    longLived: sum(({ longLived }) => longLived),
    connections: sum(({ connections }) => connections),
    heapUsedBytes: 0,
    eventLoopUtilization: Math.min(
      1,
      sum(({ eventLoopUtilization }) => eventLoopUtilization),
    ),
  };
}

/** Null where no gateway has told anything yet. */
export function addQueues(queues: readonly (QueueReport | null)[]): QueueReport | null {
  const [first, ...others] = queues.filter((queue) => queue !== null);
  if (first === undefined) return null;
  const addLists = (a: readonly number[], b: readonly number[]): number[] =>
    a.map((value, index) => value + (b[index] ?? 0));
  return others.reduce(
    (sum, queue) => ({
      depth: sum.depth + queue.depth,
      limit: Math.max(sum.limit, queue.limit),
      waits: addLists(sum.waits, queue.waits),
      waitSumMs: sum.waitSumMs + queue.waitSumMs,
      rejected: addLists(sum.rejected, queue.rejected),
      abandoned: sum.abandoned + queue.abandoned,
      retried: sum.retried + queue.retried,
      lost: sum.lost + queue.lost,
    }),
    first,
  );
}

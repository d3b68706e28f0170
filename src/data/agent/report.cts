/** The regular report of a worker: counters since birth, gauges of the moment. */
import { send } from './channel.cts';
import { countAnswered, measureConnections } from './connections.cts';

/** Reports at each interval, without keeping the app alive; returns a function that reports now. */
export function startReports(intervalMs: number): () => void {
  let last = performance.eventLoopUtilization();
  const report = () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    const { inFlight, longLived, open } = measureConnections();
    send({
      type: 'report',
      report: {
        requests: countAnswered(),
        inFlight,
        longLived,
        connections: open,
        heapUsedBytes: process.memoryUsage().heapUsed,
        eventLoopUtilization: utilization,
      },
    });
  };
  setInterval(report, intervalMs).unref();
  return report;
}

/** The regular report of a worker: counters since birth, gauges of the moment. */
import { performance } from 'node:perf_hooks';
import { send } from './channel.cts';
import { countAnswered, measureConnections } from './connections.cts';
import { takeMeasures, watchProcess } from './measure.cts';

/** Reports at each interval, without keeping the app alive; returns a function that reports now. */
export function startReports(intervalMs: number): () => void {
  watchProcess();
  let last = performance.eventLoopUtilization();
  const report = () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    const { inFlight, longLived, open } = measureConnections();
    const { heapUsed, external } = process.memoryUsage();
    send({
      type: 'report',
      report: {
        requests: countAnswered(),
        inFlight,
        longLived,
        connections: open,
        heapUsedBytes: heapUsed,
        eventLoopUtilization: utilization,
      },
      measures: takeMeasures(external, intervalMs),
    });
  };
  setInterval(report, intervalMs).unref();
  return report;
}

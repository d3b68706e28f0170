/** The regular report of a worker: counters since birth, gauges of the moment. */
import { performance } from 'node:perf_hooks';
import { send } from './channel.cts';
import { countAnswered, measureConnections, watchCrowd } from './connections.cts';
import { takeMeasures, watchProcess } from './measure.cts';

/** Reports at each interval, without keeping the app alive; returns a function that reports now. */
export function startReports(intervalMs: number): () => void {
  watchProcess();
  let last = performance.eventLoopUtilization();
  let soon: NodeJS.Timeout | undefined;
  // Requests have become twice as many: what they make of the event loop is told in a moment, and
  // not mixed with the quiet before.
  const crowd = () => {
    last = performance.eventLoopUtilization();
    soon ??= setTimeout(report, EARLY_MS, true).unref();
  };
  const report = (early = false) => {
    clearTimeout(soon);
    soon = undefined;
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
      early,
    });
    watchCrowd(Math.max(CROWD_LEAST, 2 * inFlight), crowd);
  };
  watchCrowd(CROWD_LEAST, crowd);
  setInterval(report, intervalMs).unref();
  return () => {
    report();
  };
}

// --- internal ---

/** Fewer requests at once are no crowd: a report costs as much as serving one. */
const CROWD_LEAST = 4;

/** Twenty reports a second at most, each of a time that is long enough to mean something. */
const EARLY_MS = 50;

/** The regular report of a worker: counters since birth, gauges of the moment. */
import { performance } from 'node:perf_hooks';
import type * as V8 from 'node:v8';
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
    const { heapUsed, external } = measureHeap();
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

/**
 * Node reads the resident size along with it, which needs a descriptor and /proc: an app that has
 * none left shall not die of our question. The module that needs neither takes 1.4 MB of the app.
 */
function measureHeap(): { heapUsed: number; external: number } {
  try {
    return process.memoryUsage();
  } catch {
    const { getHeapStatistics } = require('node:v8') as typeof V8;
    const { used_heap_size: heapUsed, external_memory: external } = getHeapStatistics();
    return { heapUsed, external };
  }
}

/** Fewer requests at once are no crowd: a report costs as much as serving one. */
const CROWD_LEAST = 4;

/** Twenty reports a second at most, each of a time that is long enough to mean something. */
const EARLY_MS = 50;

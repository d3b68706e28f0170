/** The catalog's rows that exist once for each slot: about as many bytes in each as it is worth. */
import { slotMetric, type Metric } from './metric.ts';

export const SLOT_METRICS: readonly Metric[] = [
  slotMetric({
    name: 'cofferdam_worker_memory_bytes',
    type: 'gauge',
    unit: 'bytes',
    labels: ['kind'],
    help: 'Memory of the worker; private (anonymous) is what limits look at, pss is 30 s old at most.',
    read: (slot, emit) => {
      emit(['private'], slot.privateBytes);
      emit(['rss'], slot.rssBytes);
      emit(['pss'], slot.pssBytes);
      emit(['heap_used'], slot.heapUsedBytes);
      emit(['external'], slot.externalBytes);
    },
  }),
  slotMetric({
    name: 'cofferdam_worker_floor_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Private memory when the worker became ready: what a recycle gets back to.',
    read: ({ floorBytes }, emit) => emit([], floorBytes),
  }),
  slotMetric({
    name: 'cofferdam_worker_slope_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Growth of private memory over the last minute, bytes per second.',
    read: ({ slopeBytesPerSecond }, emit) => emit([], Math.round(slopeBytesPerSecond)),
  }),
  slotMetric({
    name: 'cofferdam_worker_requests_total',
    type: 'counter',
    help: 'Requests answered by the workers of the slot.',
    read: ({ requests }, emit) => emit([], requests),
  }),
  slotMetric({
    name: 'cofferdam_worker_loop_busy_ratio',
    type: 'gauge',
    unit: 'ratio',
    help: 'Share of the last second in which the event loop was busy.',
    read: ({ eventLoopUtilization }, emit) => emit([], round3(eventLoopUtilization)),
  }),
  slotMetric({
    name: 'cofferdam_worker_loop_lag_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'The longest time within the last 15 s in which the event loop did not turn.',
    read: ({ eventLoopLagMs }, emit) => emit([], round3(eventLoopLagMs / 1000)),
  }),
];

// --- internal ---

/** Digits that mean nothing cost bytes in every scrape. */
function round3(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** The catalog's rows that exist once for each pool. */
import { RECYCLE_REASONS, type WorkerStateName } from '../control/types.ts';
import { ANSWER_CLASSES, REJECTIONS } from '../protocol.ts';
import { DROP_REASONS } from './ledger.ts';
import { emitDurations, poolMetric, type Metric } from './metric.ts';

/** `gone` is never seen from outside. */
export const STATES = [
  'booting',
  'ready',
  'draining',
  'lingering',
  'stopping',
  'killing',
] as const satisfies readonly WorkerStateName[];

export const POOL_METRICS: readonly Metric[] = [
  poolMetric({
    name: 'cofferdam_worker_memory_limit_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Private memory at which a worker is replaced at once; 0: no limit.',
    read: ({ limitBytes }, emit) => emit([], limitBytes),
  }),
  poolMetric({
    name: 'cofferdam_time_to_limit_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Until the first worker reaches its limit, or the tree its budget; +Inf: never.',
    read: ({ slots, budgetInSeconds }, emit) =>
      emit([], Math.round(Math.min(budgetInSeconds, ...slots.map((slot) => slot.limitInSeconds)))),
  }),
  poolMetric({
    name: 'cofferdam_recycler_load_ratio',
    type: 'gauge',
    unit: 'ratio',
    help: 'Share of time in which the gate is taken.',
    read: ({ recyclerLoad }, emit) => emit([], Math.round(recyclerLoad * 1000) / 1000),
  }),
  poolMetric({
    name: 'cofferdam_slope_per_request_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Growth of the worker that grows most, per request; 0: none is sure.',
    read: ({ slots }, emit) =>
      emit([], Math.max(0, ...slots.map((slot) => slot.slopeBytesPerRequest))),
  }),
  poolMetric({
    name: 'cofferdam_floor_above_limit',
    type: 'gauge',
    help: '1: fresh workers are above the memory limit already.',
    read: ({ floorAboveLimit }, emit) => emit([], Number(floorAboveLimit)),
  }),
  poolMetric({
    name: 'cofferdam_workers_wanted',
    type: 'gauge',
    help: 'Slots of the pool: the workers that it should have.',
    read: ({ size }, emit) => emit([], size),
  }),
  poolMetric({
    name: 'cofferdam_workers',
    type: 'gauge',
    labels: ['state'],
    help: 'Worker processes, by the state of their life.',
    read: ({ workersByState }, emit) => {
      for (const state of STATES) emit([state], workersByState[state] ?? 0);
    },
  }),
  poolMetric({
    name: 'cofferdam_recycles_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Workers that were replaced, by reason.',
    read: ({ recycles }, emit) => {
      for (const reason of RECYCLE_REASONS) emit([reason], recycles[reason]);
    },
  }),
  poolMetric({
    name: 'cofferdam_recycle_duration_seconds',
    type: 'summary',
    unit: 'seconds',
    labels: ['reason'],
    help: 'From the decision to replace a worker until the new one served, by reason.',
    read: ({ counters }, emit) => {
      for (const reason of RECYCLE_REASONS) {
        emit([reason], counters.recycled[reason], '_count');
        emit([reason], counters.recycleMs[reason] / 1000, '_sum');
      }
    },
  }),
  poolMetric({
    name: 'cofferdam_recycles_in_progress',
    type: 'gauge',
    help: 'Replacements under way; never more than the gate.',
    read: ({ recyclesInProgress }, emit) => emit([], recyclesInProgress),
  }),
  poolMetric({
    name: 'cofferdam_capacity_lost_worker_seconds_total',
    type: 'counter',
    unit: 'seconds',
    help: 'Ready workers that were missing while others were replaced, times the seconds they were.',
    read: ({ capacityLostWorkerSeconds }, emit) => emit([], capacityLostWorkerSeconds),
  }),
  poolMetric({
    name: 'cofferdam_crashes_total',
    type: 'counter',
    help: 'Workers that ended without having been asked to.',
    read: ({ crashes }, emit) => emit([], crashes),
  }),
  poolMetric({
    name: 'cofferdam_boot_failures_total',
    type: 'counter',
    help: 'Workers that never became ready.',
    read: ({ bootFailures }, emit) => emit([], bootFailures),
  }),
  poolMetric({
    name: 'cofferdam_requests_total',
    type: 'counter',
    labels: ['code'],
    help: 'Requests by the class of their answer; aborted: the client went away before its end.',
    read: ({ counters }, emit) =>
      ANSWER_CLASSES.forEach((code, index) => emit([code], counters.answers[index] ?? 0)),
  }),
  poolMetric({
    name: 'cofferdam_request_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'From the first line of a request to the end of its answer, inside the worker.',
    read: ({ counters }, emit) => emitDurations(counters.durations, counters.durationSumMs, emit),
  }),
  poolMetric({
    name: 'cofferdam_requests_in_flight',
    type: 'gauge',
    help: 'Requests being served, long-lived ones included.',
    read: ({ inFlight }, emit) => emit([], inFlight),
  }),
  poolMetric({
    name: 'cofferdam_long_lived_connections',
    type: 'gauge',
    help: 'WebSockets and event streams.',
    read: ({ longLived }, emit) => emit([], longLived),
  }),
  poolMetric({
    name: 'cofferdam_connections',
    type: 'gauge',
    help: 'Open client connections.',
    read: ({ connections }, emit) => emit([], connections),
  }),
  poolMetric({
    name: 'cofferdam_requests_dropped_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Requests that got no answer, or half of one: this must stay 0.',
    read: (pool, emit) => {
      for (const reason of DROP_REASONS) {
        emit(
          [reason],
          reason === 'handover' ? pool.connectionsLost : pool.counters.dropped[reason],
        );
      }
    },
  }),
  poolMetric({
    name: 'cofferdam_long_lived_cut_total',
    type: 'counter',
    help: 'WebSockets and event streams that were cut because their deadline came.',
    read: ({ counters }, emit) => emit([], counters.cutLongLived),
  }),
  poolMetric({
    name: 'cofferdam_connections_moved_total',
    type: 'counter',
    help: 'Idle keep-alive connections that were handed to a sibling.',
    read: ({ connectionsMoved }, emit) => emit([], connectionsMoved),
  }),
  poolMetric({
    name: 'cofferdam_saturation_ratio',
    type: 'gauge',
    unit: 'ratio',
    help: 'Busy share of the ready workers, smoothed; a worker that does not answer is busy.',
    read: ({ saturation }, emit) => emit([], saturation),
  }),
  poolMetric({
    name: 'cofferdam_queue_depth',
    type: 'gauge',
    help: 'Requests that wait for a worker; in a node pool, connections that wait in the kernel.',
    read: ({ queue }, emit) => emit([], queue.depth),
  }),
  poolMetric({
    name: 'cofferdam_queue_wait_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: "Time in Cofferdam's own queue; a node pool has none, its connections wait in the kernel.",
    read: ({ queue }, emit) => emitDurations(queue.waits, queue.waitSumMs, emit),
  }),
  poolMetric({
    name: 'cofferdam_queue_rejections_total',
    type: 'counter',
    labels: ['reason'],
    help: "Requests that got no worker from Cofferdam's own queue and were told so, by reason.",
    read: ({ queue }, emit) =>
      REJECTIONS.forEach((reason, index) => emit([reason], queue.rejected[index] ?? 0)),
  }),
  poolMetric({
    name: 'cofferdam_queue_abandoned_total',
    type: 'counter',
    help: "Requests that left Cofferdam's own queue because their client had gone.",
    read: ({ queue }, emit) => emit([], queue.abandoned),
  }),
  poolMetric({
    name: 'cofferdam_requests_retried_total',
    type: 'counter',
    help: 'Requests that the gateway gave to a second worker because the first failed.',
    read: ({ queue }, emit) => emit([], queue.retried),
  }),
  poolMetric({
    name: 'cofferdam_gc_seconds_total',
    type: 'counter',
    unit: 'seconds',
    labels: ['kind'],
    help: 'Time that workers spent in garbage collection: of the young generation (minor), or all.',
    read: ({ counters }, emit) => {
      emit(['minor'], counters.minorGcMs / 1000);
      emit(['major'], counters.majorGcMs / 1000);
    },
  }),
];

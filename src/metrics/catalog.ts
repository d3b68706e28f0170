/**
 * The catalog: the one place where a metric exists. The exposition, docs/reference/metrics.md, the
 * Grafana dashboard and the alert rules are made from it or checked against it.
 */
import { POOL_METRICS } from './catalog-pool.ts';
import { SLOT_METRICS } from './catalog-slot.ts';
import { metric, type Metric } from './metric.ts';

export const METRICS: readonly Metric[] = [
  metric({
    name: 'cofferdam_build_info',
    type: 'gauge',
    labels: ['version', 'node'],
    help: 'Always 1; the labels say which Cofferdam runs on which Node.',
    read: ({ version, node }, emit) => emit([version, node], 1),
  }),
  metric({
    name: 'cofferdam_start_time_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When the supervisor started, as Unix time.',
    read: ({ startedAtSeconds }, emit) => emit([], startedAtSeconds),
  }),
  metric({
    name: 'cofferdam_memory_budget_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'What supervisor, workers and surge may use together.',
    read: ({ budgetBytes }, emit) => emit([], budgetBytes),
  }),
  metric({
    name: 'cofferdam_memory_tree_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'What supervisor and workers use together, shared pages counted once.',
    read: ({ treeBytes }, emit) => emit([], treeBytes),
  }),
  metric({
    name: 'cofferdam_memory_supervisor_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Private memory of the supervisor itself.',
    read: ({ supervisorBytes }, emit) => emit([], supervisorBytes),
  }),
  metric({
    name: 'cofferdam_config_reloads_total',
    type: 'counter',
    labels: ['result'],
    help: 'Reloads of the configuration, by result; a failed one changes nothing.',
    read: ({ reloads }, emit) => {
      emit(['success'], reloads.success);
      emit(['failure'], reloads.failure);
    },
  }),
  metric({
    name: 'cofferdam_config_last_reload_successful',
    type: 'gauge',
    help: '1 unless the last reload failed.',
    read: ({ reloads }, emit) => emit([], reloads.lastOk ? 1 : 0),
  }),
  metric({
    name: 'cofferdam_probe_success',
    type: 'gauge',
    labels: ['probe'],
    help: '1 while the probe is green.',
    read: ({ probes }, emit) => {
      for (const [probe, ok] of Object.entries(probes)) emit([probe], ok ? 1 : 0);
    },
  }),
  ...POOL_METRICS,
  ...SLOT_METRICS,
];

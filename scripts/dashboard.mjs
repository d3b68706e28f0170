/**
 * Writes deploy/grafana-dashboard.json and deploy/prometheus-alerts.yaml; `--check` only compares.
 * Panels and alerts are listed here; a test checks every metric they name against the catalog.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const FOLDER = new URL('../deploy/', import.meta.url);

const SELECTOR = 'instance=~"$instance"';

/** Title, unit of Grafana, and what is drawn: an expression and its legend each. */
const PANELS = [
  [
    'Requests dropped (must stay 0)',
    'short',
    [
      [
        'sum by (reason) (increase(cofferdam_requests_dropped_total{S}[$__rate_interval]))',
        '{{reason}}',
      ],
    ],
  ],
  [
    'Requests per second',
    'reqps',
    [['sum by (code) (rate(cofferdam_requests_total{S}[$__rate_interval]))', '{{code}}']],
  ],
  [
    'Request duration',
    's',
    [
      [
        'histogram_quantile(0.5, sum by (le) (rate(cofferdam_request_duration_seconds_bucket{S}[$__rate_interval])))',
        'p50',
      ],
      [
        'histogram_quantile(0.99, sum by (le) (rate(cofferdam_request_duration_seconds_bucket{S}[$__rate_interval])))',
        'p99',
      ],
    ],
  ],
  [
    'Private memory by slot',
    'bytes',
    [
      ['cofferdam_worker_memory_bytes{S,kind="private"}', '{{pool}} {{slot}}'],
      ['cofferdam_worker_memory_limit_bytes{S} > 0', 'limit'],
    ],
  ],
  [
    'Memory of the whole tree',
    'bytes',
    [
      ['cofferdam_memory_tree_bytes{S}', 'used'],
      ['cofferdam_memory_budget_bytes{S}', 'budget'],
      ['cofferdam_memory_supervisor_bytes{S}', 'supervisor'],
    ],
  ],
  ['Growth by slot', 'Bps', [['cofferdam_worker_slope_bytes{S}', '{{pool}} {{slot}}']]],
  [
    'Recycles',
    'short',
    [
      [
        'sum by (reason) (increase(cofferdam_recycles_total{S}[$__rate_interval])) > 0',
        '{{reason}}',
      ],
    ],
  ],
  [
    'Workers by state',
    'short',
    [
      ['sum by (state) (cofferdam_workers{S})', '{{state}}'],
      ['sum(cofferdam_workers_wanted{S})', 'wanted'],
    ],
  ],
  [
    'Saturation and queue',
    'percentunit',
    [
      ['cofferdam_saturation_ratio{S}', '{{pool}} busy'],
      ['cofferdam_queue_depth{S}', '{{pool}} waiting'],
    ],
  ],
  ['Event loop lag by slot', 's', [['cofferdam_worker_loop_lag_seconds{S}', '{{pool}} {{slot}}']]],
  [
    'Time in garbage collection',
    'percentunit',
    [
      [
        'sum by (kind) (rate(cofferdam_gc_seconds_total{S}[$__rate_interval])) / scalar(sum(cofferdam_workers_wanted{S}))',
        '{{kind}}',
      ],
    ],
  ],
  [
    'Capacity lost by recycling',
    'short',
    [
      [
        'rate(cofferdam_capacity_lost_worker_seconds_total{S}[$__rate_interval])',
        'workers missing',
      ],
    ],
  ],
];

/** Name, expression, how long, severity, what it means and what to do. */
const ALERTS = [
  [
    'CofferdamRequestsDropped',
    'increase(cofferdam_requests_dropped_total[5m]) > 0',
    '0m',
    'critical',
    'Requests were dropped ({{ $labels.reason }}).',
    'crash: look for the worker_crashed event. deadline: raise --drain-timeout.',
  ],
  [
    'CofferdamDown',
    'cofferdam_probe_success{probe="live"} == 0',
    '1m',
    'critical',
    'No worker gives a sign of life.',
    'Take a stack or a profile of a worker, then restart.',
  ],
  [
    'CofferdamNotReady',
    'cofferdam_probe_success{probe="ready"} == 0',
    '5m',
    'warning',
    'It has not been ready for 5 minutes.',
    'Ask /readyz?verbose why.',
  ],
  [
    'CofferdamBootFailures',
    'increase(cofferdam_boot_failures_total[10m]) > 3',
    '0m',
    'warning',
    'Workers do not boot.',
    'Look at the boot_failed events.',
  ],
  [
    'CofferdamCrashes',
    'increase(cofferdam_crashes_total[10m]) > 3',
    '0m',
    'warning',
    'Workers crash again and again.',
    'Look at the worker_crashed events.',
  ],
  [
    'CofferdamMemoryNearBudget',
    'cofferdam_memory_tree_bytes / cofferdam_memory_budget_bytes > 0.95',
    '5m',
    'warning',
    'The whole tree is close to its memory budget.',
    'Lower --max-memory or --workers, or raise the budget.',
  ],
  [
    'CofferdamLimitTooSoon',
    'cofferdam_time_to_limit_seconds < 60',
    '15m',
    'warning',
    'Workers reach their memory limit within a minute, again and again.',
    'Find the leak: cofferdam leak.',
  ],
  [
    'CofferdamSaturated',
    'cofferdam_saturation_ratio{pool="app"} > 0.95',
    '10m',
    'warning',
    'All workers are busy.',
    'Add workers or instances.',
  ],
  [
    'CofferdamCapacityLost',
    'rate(cofferdam_capacity_lost_worker_seconds_total[10m]) > 0.1',
    '10m',
    'warning',
    'Recycling costs capacity.',
    'Recycle less often, or allow --surge 1.',
  ],
  [
    'CofferdamReloadFailed',
    'cofferdam_config_last_reload_successful == 0',
    '0m',
    'warning',
    'The last reload failed; the old configuration runs on.',
    'Run cofferdam check.',
  ],
];

const PANEL_WIDTH = 12;
const PANEL_HEIGHT = 8;

const files = { 'grafana-dashboard.json': dashboard(), 'prometheus-alerts.yaml': alerts() };
mkdirSync(FOLDER, { recursive: true });
for (const [name, text] of Object.entries(files)) {
  const url = new URL(name, FOLDER);
  if (!process.argv.includes('--check')) writeFileSync(url, text);
  else if (readText(url) !== text) {
    process.stderr.write(`deploy/${name} is not up to date: node scripts/dashboard.mjs\n`);
    process.exitCode = 1;
  }
}

// --- internal ---

function dashboard() {
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  const panels = PANELS.map(([title, unit, targets], index) => ({
    id: index + 1,
    type: 'timeseries',
    title,
    datasource,
    gridPos: {
      x: (index % 2) * PANEL_WIDTH,
      y: Math.floor(index / 2) * PANEL_HEIGHT,
      w: PANEL_WIDTH,
      h: PANEL_HEIGHT,
    },
    fieldConfig: {
      defaults: { unit, min: 0, custom: { fillOpacity: 8, showPoints: 'never' } },
      overrides: [],
    },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
    targets: targets.map(([expression, legendFormat], target) => ({
      refId: String.fromCharCode(65 + target),
      datasource,
      expr: expression.replaceAll('{S', `{${SELECTOR}`),
      legendFormat,
    })),
  }));
  const templating = {
    list: [
      { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
      {
        name: 'instance',
        type: 'query',
        label: 'Instance',
        datasource,
        query: 'label_values(cofferdam_build_info, instance)',
        refresh: 2,
        multi: true,
        includeAll: true,
      },
    ],
  };
  const board = {
    uid: 'cofferdam',
    title: 'Cofferdam',
    tags: ['cofferdam', 'node'],
    schemaVersion: 39,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    templating,
    panels,
  };
  return `${JSON.stringify(board, null, 2)}\n`;
}

function alerts() {
  const rules = ALERTS.map(([alert, expression, wait, severity, summary, description]) =>
    [
      `      - alert: ${alert}`,
      `        expr: ${expression}`,
      `        for: ${wait}`,
      '        labels:',
      `          severity: ${severity}`,
      '        annotations:',
      `          summary: ${JSON.stringify(summary)}`,
      `          description: ${JSON.stringify(description)}`,
    ].join('\n'),
  );
  return `# Made by scripts/dashboard.mjs: do not edit.\ngroups:\n  - name: cofferdam\n    rules:\n${rules.join('\n')}\n`;
}

function readText(url) {
  try {
    return readFileSync(url, 'utf8');
  } catch {
    // Not there is as wrong as different.
    return null;
  }
}

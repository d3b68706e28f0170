/** The rows of the settings table that say how a running instance is watched and asked. */
import { OPS_ADDRESS_FORM } from './ops-address.ts';
import type { SettingRow } from './setting-row.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
/** Node's timers overflow (and fire at once) above 2^31-1 ms, which is 24.8 days. */
const TIMER_MAX_MS = 24 * 24 * 60 * MINUTE_MS;

export const OPS_SETTINGS = [
  {
    key: 'ops',
    kind: 'string',
    placeholder: '<address>',
    default: '127.0.0.1:9477',
    pattern: { form: OPS_ADDRESS_FORM, words: 'host:port, a port of 127.0.0.1, :port, or off' },
    group: 'Operations',
    sentence: 'Where probes, metrics and the page are served, read-only; `:9477` is every address.',
    reload: false,
    elsewhere: ['metrics', 'metrics-port', 'status-port', 'admin', 'probes', 'pm-status-listen'],
  },
  {
    key: 'ready-min',
    kind: 'integer',
    default: 1,
    limits: { min: 1, max: 1024, reason: 'with 0 nothing would be ready to serve' },
    group: 'Operations',
    sentence: 'How many workers must be ready and answering for /readyz to be green.',
    elsewhere: ['min-ready', 'min-ready-workers'],
  },
  {
    key: 'saturation-high',
    kind: 'share',
    default: 0,
    off: true,
    limits: { min: 0.1, max: 1, reason: 'it is a share of the time of all workers' },
    group: 'Operations',
    sentence:
      'Busy share of the workers from which /readyz is red, so that others get the traffic.',
  },
  {
    key: 'saturation-low',
    kind: 'share',
    default: 0.7,
    limits: { min: 0.05, max: 1, reason: 'it is a share of the time of all workers' },
    group: 'Operations',
    sentence: 'Busy share below which /readyz is green again after --saturation-high.',
  },
  {
    key: 'live-stall',
    kind: 'duration',
    default: MINUTE_MS,
    off: true,
    limits: { min: 5 * SECOND_MS, max: TIMER_MAX_MS, reason: 'workers report each second' },
    group: 'Operations',
    sentence: '/livez turns red when so long no worker gave any sign of life.',
  },
  {
    key: 'shutdown-delay',
    kind: 'duration',
    default: 0,
    off: true,
    limits: { min: 1, max: TIMER_MAX_MS, reason: 'a time to wait' },
    group: 'Operations',
    sentence: 'On SIGTERM, serve on for so long with a red /readyz before the drain begins.',
    elsewhere: ['pre-stop', 'prestop-delay', 'lame-duck', 'shutdown-wait'],
  },
  {
    key: 'health-path',
    kind: 'string',
    placeholder: '<path>',
    default: null,
    defaultText: 'none',
    pattern: { form: /^\/[^\s?#]*$/, words: 'a path that starts with /, without a query' },
    group: 'Operations',
    sentence: "The app's own health check: asked for on the ops listener, answered by a worker.",
    reload: false,
    elsewhere: ['health', 'health-check', 'healthcheck', 'ping-path'],
  },
  {
    key: 'health-mode',
    kind: 'enum',
    default: 'priority',
    choices: ['priority', 'reserved'],
    group: 'Operations',
    sentence:
      'Who answers it: any ready worker past its traffic, or workers kept for nothing else.',
    reload: false,
  },
  {
    key: 'health-timeout',
    kind: 'duration',
    default: SECOND_MS,
    limits: { min: 10, max: MINUTE_MS, reason: 'whoever asks does not wait longer' },
    group: 'Operations',
    sentence: 'How long the health check of the app may take.',
    elsewhere: ['ping-timeout', 'probe-timeout'],
  },
  {
    key: 'health-workers',
    kind: 'integer',
    default: 1,
    limits: { min: 1, max: 16, reason: 'they do nothing but answer health checks' },
    group: 'Operations',
    sentence: 'Workers that are kept for health checks, with --health-mode reserved.',
    reload: false,
  },
  {
    key: 'health-max-requests',
    kind: 'integer',
    default: 0,
    off: true,
    limits: { min: 0, max: 1e9, reason: 'no worker lives to see more' },
    group: 'Operations',
    sentence: 'Replace a health worker after so many health checks.',
    reload: false,
  },
  {
    key: 'health-max-age',
    kind: 'duration',
    default: 60 * MINUTE_MS,
    off: true,
    limits: {
      min: SECOND_MS,
      max: TIMER_MAX_MS,
      reason: "below it is a loop, above Node's timers end",
    },
    group: 'Operations',
    sentence: 'Replace a health worker when it is so old: its connections may have gone stale.',
    reload: false,
  },
] as const satisfies readonly SettingRow[];

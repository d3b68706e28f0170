/**
 * The settings table: the one place where a setting exists. Flags, environment variables, the keys
 * of the configuration file, `--help` and docs/reference/settings.md are all made from it.
 */
import { MINUTE_MS, SECOND_MS, TIMER_MAX_MS } from './durations.ts';
import { GATEWAY_SETTINGS, KIND_SETTINGS, PHP_SETTINGS } from './settings-gateway.ts';
import { MEMORY_SETTINGS, SIZE_LIMITS } from './settings-memory.ts';
import { OPS_SETTINGS } from './settings-ops.ts';
import { SCALING_SETTINGS } from './settings-scaling.ts';
import type { KindValues, SettingRow } from './setting-row.ts';

const WAIT_LIMITS = { min: 100, max: TIMER_MAX_MS, reason: 'below 100ms nothing could finish' };
export const SETTINGS = [
  {
    key: 'app',
    kind: 'string',
    placeholder: '<app>',
    default: null,
    path: true,
    group: 'Application',
    sentence:
      'The file that starts your server (.js, .php), or a folder with a package.json or an index.',
    sources: ['positional', 'env', 'file'],
  },
  {
    key: 'args',
    kind: 'list',
    placeholder: '-- <args>',
    default: [],
    group: 'Application',
    sentence: 'Arguments for the app: all that follows `--`.',
    sources: ['rest', 'file'],
  },
  ...KIND_SETTINGS,
  {
    key: 'node-args',
    kind: 'list',
    placeholder: '<args>',
    default: [],
    group: 'Application',
    sentence: 'Options for the Node of each worker, split at spaces: `--max-old-space-size=128`.',
    elsewhere: ['node-options', 'interpreter-args'],
  },
  {
    key: 'env',
    kind: 'map',
    default: {},
    group: 'Application',
    sentence: 'Environment variables for the workers, on top of the inherited ones.',
    sources: ['file'],
  },
  {
    key: 'name',
    kind: 'string',
    placeholder: '<name>',
    default: 'default',
    pattern: { form: /^[a-z0-9-]{1,32}$/, words: '1 to 32 small letters, digits and hyphens' },
    instance: true,
    group: 'Application',
    sentence: 'Name of this instance, by which `status`, `recycle` and the like find it.',
    reload: false,
  },
  {
    key: 'config',
    kind: 'string',
    short: 'c',
    placeholder: '<file>',
    default: null,
    defaultText: 'cofferdam.toml, .json or .mjs, else package.json#cofferdam',
    instance: true,
    group: 'Application',
    sentence: 'The configuration file; without it, one is looked for in the current folder only.',
    reload: false,
    sources: ['flag', 'env'],
  },
  {
    key: 'port',
    kind: 'integer',
    short: 'p',
    default: 3000,
    limits: { min: 0, max: 65_535, reason: 'a TCP port; 0 takes any free one' },
    group: 'Network',
    sentence: 'Port that the app is given (PORT); if you name one, the app is moved there.',
    reload: false,
    commonVariables: ['PORT'],
  },
  {
    key: 'host',
    kind: 'string',
    placeholder: '<address>',
    default: '0.0.0.0',
    pattern: { form: /^[^\s[\]/]+$/, words: 'an address or a host name, without brackets or port' },
    group: 'Network',
    sentence: 'Address that the app is given (HOST); if you name one, the app is moved there.',
    reload: false,
    commonVariables: ['HOST'],
    elsewhere: ['bind', 'hostname', 'address', 'listen'],
  },
  {
    key: 'workers',
    kind: 'workers',
    short: 'w',
    default: 'auto',
    defaultText: 'auto: one for each CPU',
    auto: true,
    limits: { min: 1, max: 1024, reason: 'more workers than that is a slip of the finger' },
    group: 'Workers',
    sentence: 'How many workers: auto, N, or MIN..MAX to start with MIN and scale in between.',
    commonVariables: ['WEB_CONCURRENCY'],
    elsewhere: ['instances', 'processes', 'threads', 'num-workers'],
  },
  ...SCALING_SETTINGS,
  {
    key: 'warmup-path',
    kind: 'string',
    placeholder: '<path>',
    default: null,
    defaultText: 'none',
    pattern: { form: /^\/\S*$/, words: 'a path that starts with /' },
    group: 'Workers',
    sentence: 'Path that a new worker has to answer, inside itself, before it gets traffic.',
    elsewhere: ['wait-ready'],
  },
  {
    key: 'handover',
    kind: 'boolean',
    default: true,
    group: 'Workers',
    sentence: 'Hand idle keep-alive connections of a retiring worker to a sibling.',
  },
  {
    key: 'max-requests',
    kind: 'integer',
    default: 0,
    off: true,
    limits: { min: 1, max: 1e9, reason: 'no worker lives to see more' },
    group: 'Recycling',
    sentence: 'Replace a worker after so many requests.',
    elsewhere: ['limit-request', 'max-worker-requests'],
  },
  {
    key: 'max-memory',
    kind: 'bytes',
    default: 0,
    off: true,
    limits: SIZE_LIMITS,
    group: 'Recycling',
    sentence: 'Replace a worker at once when its own memory reaches this (hard limit).',
    elsewhere: ['max-memory-restart', 'max-worker-memory', 'memory-limit'],
  },
  {
    key: 'memory-soft',
    kind: 'share',
    default: 0.85,
    limits: { min: 0.1, max: 1, reason: 'it is a share of --max-memory' },
    group: 'Recycling',
    sentence: 'Share of --max-memory at which a worker is replaced as soon as its turn comes.',
  },
  {
    key: 'max-age',
    kind: 'duration',
    default: 0,
    off: true,
    limits: {
      min: SECOND_MS,
      max: TIMER_MAX_MS,
      reason: "below it is a loop, above Node's timers end",
    },
    group: 'Recycling',
    sentence: 'Replace a worker when it is so old.',
    elsewhere: ['max-lifetime', 'lifetime', 'max-worker-age'],
  },
  {
    key: 'jitter',
    kind: 'share',
    default: 0.1,
    off: true,
    limits: { min: 0, max: 0.5, reason: 'more would halve the limits' },
    group: 'Recycling',
    sentence: 'Lower request and age limits at random by up to this share, against herds.',
    elsewhere: ['max-requests-jitter'],
  },
  {
    key: 'gate',
    kind: 'integer',
    default: 1,
    limits: { min: 1, max: 1024, reason: 'with 0 nothing would ever be replaced' },
    group: 'Recycling',
    sentence: 'How many workers may be replaced at once, whatever the reason.',
  },
  {
    key: 'surge',
    kind: 'integer',
    default: 1,
    limits: { min: 0, max: 1024, reason: 'extra workers; 0 ends the old one first' },
    group: 'Recycling',
    sentence: 'Extra workers that may live while others are replaced; 0: end the old one first.',
  },
  ...MEMORY_SETTINGS,
  {
    key: 'boot-timeout',
    kind: 'duration',
    default: 30 * SECOND_MS,
    limits: WAIT_LIMITS,
    group: 'Deadlines',
    sentence: 'Time a new worker has until it listens and is warm.',
    elsewhere: ['listen-timeout', 'start-timeout'],
  },
  {
    key: 'drain-timeout',
    kind: 'duration',
    default: 30 * SECOND_MS,
    limits: WAIT_LIMITS,
    group: 'Deadlines',
    sentence: 'Time a retiring worker has to finish its requests.',
    elsewhere: ['graceful-timeout', 'stop-timeout', 'shutdown-timeout'],
  },
  {
    key: 'long-drain-timeout',
    kind: 'duration',
    default: 2 * MINUTE_MS,
    limits: WAIT_LIMITS,
    group: 'Deadlines',
    sentence: 'The same for WebSockets and event streams.',
  },
  {
    key: 'kill-timeout',
    kind: 'duration',
    default: 5 * SECOND_MS,
    limits: WAIT_LIMITS,
    group: 'Deadlines',
    sentence: 'Time between SIGTERM and SIGKILL.',
  },
  {
    key: 'unresponsive-timeout',
    kind: 'duration',
    default: 30 * SECOND_MS,
    off: true,
    limits: { min: 3 * SECOND_MS, max: TIMER_MAX_MS, reason: 'workers report each second' },
    group: 'Deadlines',
    sentence: 'Replace a worker whose event loop has been blocked for so long.',
    elsewhere: ['timeout', 'worker-timeout'],
  },
  ...GATEWAY_SETTINGS,
  ...PHP_SETTINGS,
  ...OPS_SETTINGS,
  {
    key: 'log',
    kind: 'enum',
    default: 'auto',
    defaultText: 'auto: pretty on a terminal, else json',
    choices: ['auto', 'pretty', 'json'],
    instance: true,
    group: 'Output',
    sentence: 'Form of the log on stderr.',
    reload: false,
    elsewhere: ['log-format', 'log-type'],
  },
  {
    key: 'quiet',
    kind: 'boolean',
    default: false,
    instance: true,
    group: 'Output',
    sentence: 'Log only warnings and errors.',
    reload: false,
  },
] as const satisfies readonly SettingRow[];

type Row = (typeof SETTINGS)[number];

export type SettingKey = Row['key'];

/**
 * All settings, checked and complete. Property names are the keys in camelCase with their unit at
 * the end: `drainTimeoutMs`, `maxMemoryBytes`; shares are 0..1; 0 is off where off is allowed.
 */
export type Settings = { readonly [R in Row as PropertyOf<R>]: ValueOf<R> };

// --- internal ---

type CamelCase<Key extends string> = Key extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Key;

type Suffix<Kind> = Kind extends 'duration' ? 'Ms' : Kind extends 'bytes' ? 'Bytes' : '';

type PropertyOf<R extends Row> = `${CamelCase<R['key']>}${Suffix<R['kind']>}`;

type ValueOf<R extends Row> =
  | (R extends { readonly choices: readonly (infer Choice)[] } ? Choice : KindValues[R['kind']])
  | (R extends { readonly auto: true } ? 'auto' : never)
  | (R['default'] extends null ? null : never);

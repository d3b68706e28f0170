/** The rows of the settings table for workers that Cofferdam stands in front of. */
import { ADDRESS_RANGE } from './address-range.ts';
import { MINUTE_MS, SECOND_MS, TIMER_MAX_MS } from './durations.ts';
import type { SettingRow } from './setting-row.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const WAIT_LIMITS = { min: 1, max: TIMER_MAX_MS, reason: "Node's timers end there" };

/** What the workers are. */
export const KIND_SETTINGS = [
  {
    key: 'kind',
    kind: 'enum',
    default: 'auto',
    defaultText: 'auto: by what the app is',
    choices: ['auto', 'node', 'php', 'command'],
    group: 'Application',
    sentence:
      'What the workers are: a Node app, PHP over FastCGI, or any program that serves HTTP.',
    reload: false,
  },
  {
    key: 'command',
    kind: 'list',
    placeholder: '<command>',
    default: [],
    group: 'Application',
    sentence:
      'The program of `kind = "command"` with its arguments; it gets PORT, {port} or {socket}.',
    sources: ['file'],
  },
] as const satisfies readonly SettingRow[];

export const PHP_SETTINGS = [
  {
    key: 'root',
    kind: 'string',
    placeholder: '<folder>',
    default: null,
    defaultText: 'for PHP the folder of the app, else none',
    path: true,
    group: 'PHP and files',
    sentence: 'Folder whose files are served as they are, and whose scripts are run.',
    elsewhere: ['document-root', 'docroot', 'public', 'static'],
  },
  {
    key: 'index',
    kind: 'string',
    placeholder: '<file>',
    default: 'index.php',
    pattern: { form: /^[^/\0]+$/, words: 'a file name' },
    group: 'PHP and files',
    sentence: 'The script of a folder.',
  },
  {
    key: 'front-controller',
    kind: 'string',
    placeholder: '<file>',
    default: null,
    defaultText: 'the app, if it is a script; else none',
    group: 'PHP and files',
    sentence: 'The script, below the root, that gets every request for what is no file; or none.',
  },
  {
    key: 'php-binary',
    kind: 'string',
    placeholder: '<file>',
    default: 'php-cgi',
    group: 'PHP and files',
    sentence: 'The php-cgi that runs the scripts.',
    elsewhere: ['php', 'php-cgi', 'bin-path'],
  },
  {
    key: 'php-layout',
    kind: 'enum',
    default: 'zygote',
    choices: ['zygote', 'isolated'],
    group: 'PHP and files',
    sentence:
      'Children of one php-cgi, with opcache and APCu in common, or a php-cgi for each worker.',
    elsewhere: ['php-fcgi-children'],
  },
  {
    key: 'php-ini',
    kind: 'map',
    dotted: true,
    default: {},
    group: 'PHP and files',
    sentence: 'Settings of php.ini for the workers, on top of its files.',
    sources: ['file'],
    elsewhere: ['php-value', 'php-admin-value'],
  },
  {
    key: 'sendfile-roots',
    kind: 'list',
    placeholder: '<folders>',
    default: [],
    group: 'PHP and files',
    sentence: 'Folders from which an app may send files by X-Sendfile or X-Accel-Redirect.',
    sources: ['file'],
    elsewhere: ['x-sendfile', 'x-sendfile-docroot'],
  },
] as const satisfies readonly SettingRow[];

export const GATEWAY_SETTINGS = [
  {
    key: 'dispatch',
    kind: 'enum',
    default: 'auto',
    defaultText: 'auto: direct for Node without --tls-cert, else the gateway',
    choices: ['auto', 'direct', 'gateway'],
    group: 'Gateway',
    sentence: 'Who takes connections: the workers themselves, or one queue in front of them.',
    reload: false,
  },
  {
    key: 'concurrency',
    kind: 'integer',
    default: 'auto',
    auto: true,
    defaultText: 'auto: 1 for PHP, no bound for programs that serve HTTP',
    limits: { min: 0, max: 65_535, reason: 'no more connections fit one address; 0 is no bound' },
    group: 'Gateway',
    sentence: 'Requests that one worker gets at once.',
  },
  {
    key: 'queue-length',
    kind: 'integer',
    default: 1024,
    limits: { min: 0, max: 1e6, reason: 'each that waits keeps a connection open' },
    group: 'Gateway',
    sentence: 'Requests that may wait for a worker; more are told 503 and when to come again.',
    elsewhere: ['backlog', 'listen-backlog', 'max-queue'],
  },
  {
    key: 'queue-timeout',
    kind: 'duration',
    default: 30 * SECOND_MS,
    limits: WAIT_LIMITS,
    group: 'Gateway',
    sentence: 'How long a request may wait for a worker before it is told 503.',
    elsewhere: ['allocate-timeout', 'max-wait-time'],
  },
  {
    key: 'request-timeout',
    kind: 'duration',
    default: 0,
    off: true,
    limits: { min: 10, max: TIMER_MAX_MS, reason: "Node's timers end there" },
    group: 'Gateway',
    sentence: 'How long a worker may take for a request; then it is told 504, the worker replaced.',
    elsewhere: ['request-terminate-timeout', 'exec-ttl', 'harakiri', 'max-execution-time'],
  },
  {
    key: 'slow-log',
    kind: 'duration',
    default: 0,
    off: true,
    limits: { min: 1, max: 60 * MINUTE_MS, reason: 'a time that a request may take' },
    group: 'Gateway',
    sentence:
      'Log every request that takes longer: at that moment, with the PHP stack, and its end.',
    elsewhere: ['request-slowlog-timeout', 'slowlog'],
  },
  {
    key: 'body-limit',
    kind: 'bytes',
    default: GIB,
    limits: { min: 0, max: 2 ** 46, reason: 'a size' },
    group: 'Gateway',
    sentence: 'Largest body of a request; more is told 413.',
    elsewhere: ['client-max-body-size', 'max-request-size'],
  },
  {
    key: 'spool-above',
    kind: 'bytes',
    default: MIB,
    limits: { min: 0, max: GIB, reason: 'it is memory' },
    group: 'Gateway',
    sentence: 'Bodies above this wait in a file, not in memory, until a PHP worker is free.',
    elsewhere: ['client-body-buffer-size'],
  },
  {
    key: 'trusted-proxies',
    kind: 'list',
    placeholder: '<addresses>',
    default: [],
    pattern: { form: ADDRESS_RANGE, words: 'addresses, networks such as 10.0.0.0/8, or unix' },
    group: 'Gateway',
    sentence: 'Addresses or networks (10.0.0.0/8) whose X-Forwarded-* headers are believed.',
    elsewhere: ['forwarded-allow-ips', 'set-real-ip-from', 'trusted-proxy'],
  },
  {
    key: 'tls-cert',
    kind: 'string',
    placeholder: '<file>',
    default: null,
    defaultText: 'none: plain HTTP/1.1',
    path: true,
    group: 'Gateway',
    sentence: 'Certificate chain (PEM): serve HTTPS with HTTP/1.1 and HTTP/2; read anew on change.',
    reload: false,
    elsewhere: ['ssl-cert', 'certfile', 'ssl-certificate'],
  },
  {
    key: 'tls-key',
    kind: 'string',
    placeholder: '<file>',
    default: null,
    defaultText: 'none',
    path: true,
    group: 'Gateway',
    sentence: 'Its private key (PEM).',
    reload: false,
    elsewhere: ['ssl-key', 'keyfile', 'ssl-certificate-key'],
  },
] as const satisfies readonly SettingRow[];

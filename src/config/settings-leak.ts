/**
 * The settings of `cofferdam leak`: rows as those of `serve`, from which its flags, `--help` and
 * docs/reference/leak.md are made. An experiment is described by its command line alone.
 */
import { DAY_MS, MINUTE_MS, SECOND_MS } from './durations.ts';
import { SETTINGS } from './settings.ts';
import type { SettingRow, SettingSource, SettingsOf } from './setting-row.ts';

export type LeakSettings = SettingsOf<(typeof LEAK_SETTINGS)[number]>;

const FLAG: readonly SettingSource[] = ['flag'];

export const LEAK_SETTINGS = [
  { ...shared('app'), sources: ['positional'] },
  { ...shared('args'), sources: ['rest'] },
  { ...shared('node-args'), sources: FLAG },
  { ...shared('boot-timeout'), group: 'Application', sources: FLAG },
  {
    key: 'app-output',
    kind: 'boolean',
    default: false,
    group: 'Application',
    sentence: "Show the app's own output.",
    sources: FLAG,
  },
  {
    key: 'path',
    kind: 'string',
    placeholder: '<path>',
    default: '/',
    group: 'Requests',
    sentence: 'What to request; `{{n}}` is the number of the request.',
    sources: FLAG,
    elsewhere: ['url', 'route'],
  },
  {
    key: 'method',
    kind: 'string',
    placeholder: '<word>',
    default: null,
    defaultText: 'GET, or POST with --body',
    pattern: { form: /^[A-Za-z]{1,20}$/, words: 'one word' },
    group: 'Requests',
    sentence: 'HTTP method.',
    sources: FLAG,
  },
  {
    key: 'body',
    kind: 'string',
    placeholder: '<file>',
    default: null,
    group: 'Requests',
    sentence: 'File whose text is the body.',
    sources: FLAG,
    elsewhere: ['data'],
  },
  {
    key: 'header',
    kind: 'texts',
    placeholder: '<header>',
    default: [],
    group: 'Requests',
    sentence: 'A header, `name: value`; may be given several times.',
    sources: FLAG,
    elsewhere: ['headers'],
  },
  {
    key: 'script',
    kind: 'string',
    placeholder: '<file>',
    default: null,
    group: 'Requests',
    sentence: 'File of requests: a line each (`POST /cart {"item":{{n}}}`), JSON, or HAR.',
    sources: FLAG,
    elsewhere: ['har', 'routes'],
  },
  {
    key: 'http1',
    kind: 'boolean',
    default: false,
    group: 'Requests',
    sentence: 'Speak HTTP/1.1 to a TLS server that prefers HTTP/2.',
    sources: FLAG,
  },
  {
    key: 'any-status',
    kind: 'boolean',
    default: false,
    group: 'Requests',
    sentence: 'Test an answer that is an error or a redirect.',
    sources: FLAG,
  },
  {
    key: 'duration',
    kind: 'duration',
    default: null,
    defaultText: '1m for each arm, or 4m with --thorough',
    limits: { min: 2 * SECOND_MS, max: DAY_MS, reason: 'fewer seconds hold no checkpoints' },
    group: 'Experiment',
    sentence: 'Time for warm-up and load; a clear leak needs less.',
    sources: FLAG,
    elsewhere: ['time', 'timeout', 'budget'],
  },
  {
    key: 'requests',
    kind: 'integer',
    default: 0,
    off: true,
    limits: { min: 1, max: 1e9, reason: 'a day holds no more' },
    group: 'Experiment',
    sentence: 'Stop the load after so many; with --diff, requests between two snapshots.',
    sources: FLAG,
    elsewhere: ['max-requests', 'count'],
  },
  {
    key: 'rate',
    kind: 'integer',
    default: null,
    defaultText: 'found in the warm-up, at most 1000',
    limits: { min: 1, max: 20_000, reason: 'one process sends no more' },
    group: 'Experiment',
    sentence: 'Requests per second.',
    sources: FLAG,
    elsewhere: ['rps'],
  },
  {
    key: 'connections',
    kind: 'integer',
    default: 20,
    limits: { min: 1, max: 900, reason: 'many systems allow 1024 descriptors' },
    group: 'Experiment',
    sentence: 'Requests on their way at once, at most.',
    sources: FLAG,
    elsewhere: ['concurrency'],
  },
  {
    key: 'batch',
    kind: 'integer',
    default: null,
    defaultText: 'what 0.4 s hold, 20 to 400; five times as many with --thorough',
    limits: { min: 5, max: 100_000, reason: 'a checkpoint collects garbage twice' },
    group: 'Experiment',
    sentence: 'Requests between two checkpoints.',
    sources: FLAG,
  },
  {
    key: 'rest',
    kind: 'duration',
    default: 5 * SECOND_MS,
    off: true,
    limits: { min: 1, max: DAY_MS, reason: 'idle time is time too' },
    group: 'Experiment',
    sentence: 'Idle time after the load, and half of it before.',
    sources: FLAG,
  },
  {
    key: 'slow',
    kind: 'duration',
    default: 10 * SECOND_MS,
    off: true,
    limits: { min: 1, max: DAY_MS, reason: 'idle time is time too' },
    group: 'Experiment',
    sentence:
      'Time for requests one at a time, first on one connection, then so long on a new one each.',
    sources: FLAG,
  },
  {
    key: 'thorough',
    kind: 'boolean',
    default: false,
    group: 'Experiment',
    sentence: 'Ten times the requests, to see 10 B per request.',
    sources: FLAG,
  },
  {
    key: 'baseline',
    kind: 'string',
    placeholder: '<app>',
    default: null,
    group: 'Comparison',
    sentence: 'Compare with another app under the same load.',
    sources: FLAG,
  },
  {
    key: 'arm',
    kind: 'texts',
    placeholder: "<name='…'>",
    default: [],
    group: 'Comparison',
    sentence:
      'Compare with a variable, a Node option, a Node binary or an app; may be given several times.',
    sources: FLAG,
  },
  {
    key: 'diff',
    kind: 'boolean',
    default: false,
    group: 'Comparison',
    sentence: 'Read two or three heap snapshots instead of running an app.',
    sources: FLAG,
  },
  {
    key: 'report',
    kind: 'string',
    placeholder: '<file>',
    default: 'leak.html',
    group: 'Report',
    sentence: 'The page.',
    sources: FLAG,
    elsewhere: ['html', 'output'],
  },
  {
    key: 'no-report',
    kind: 'boolean',
    default: false,
    group: 'Report',
    sentence: 'Write no page.',
    sources: FLAG,
  },
  {
    key: 'json',
    kind: 'boolean',
    default: false,
    group: 'Report',
    sentence: 'Print the report as JSON.',
    sources: FLAG,
  },
  {
    key: 'pprof',
    kind: 'string',
    placeholder: '<file>',
    default: null,
    group: 'Report',
    sentence: 'Write the heap profile as pprof.',
    sources: FLAG,
  },
  {
    key: 'keep-snapshots',
    kind: 'string',
    placeholder: '<folder>',
    default: null,
    group: 'Report',
    sentence: 'Keep the three heap snapshots.',
    sources: FLAG,
  },
  {
    key: 'memory-limit',
    kind: 'bytes',
    default: 512 * 2 ** 20,
    limits: { min: 2 ** 20, max: 2 ** 46, reason: 'what machines have' },
    group: 'Report',
    sentence: 'What one worker may have, for the advice.',
    sources: FLAG,
    elsewhere: ['max-memory'],
  },
  {
    key: 'traffic',
    kind: 'integer',
    default: 50,
    limits: { min: 1, max: 1e6, reason: 'what one worker may get' },
    group: 'Report',
    sentence: 'Requests per second in production, for the advice.',
    sources: FLAG,
  },
] as const satisfies readonly SettingRow[];

/** `duration` when nobody says: a clear leak shows sooner, a slow one needs more. */
export const LEAK_DURATION_MS = MINUTE_MS;
export const THOROUGH_DURATION_MS = 4 * MINUTE_MS;

// --- internal ---

type Shared<Key extends string> = Extract<(typeof SETTINGS)[number], { readonly key: Key }>;

/** What `leak` has in common with `serve`: the same word, the same meaning. */
function shared<Key extends (typeof SETTINGS)[number]['key']>(key: Key): Shared<Key> {
  return SETTINGS.find((row): row is Shared<Key> => row.key === key) as Shared<Key>;
}

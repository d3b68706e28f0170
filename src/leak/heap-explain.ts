/** Tells from a path and from what hangs there which kind of leak a person is looking at. Pure. */
import { isNamed } from './heap-path.ts';
import type { Step } from './heap-path.ts';

/** What piles up; `null` elsewhere is plain data in a variable. */
export type Shape =
  | 'listeners'
  | 'weak values'
  | 'timers'
  | 'message ports'
  | 'sockets'
  | 'modules'
  | 'contexts'
  | 'promises'
  | 'stores'
  | 'slices'
  | 'buffers';

/** What a call makes, so that the call can be caught in the act. */
export const MADE_SHAPES: ReadonlySet<Shape> = new Set<Shape>([
  'timers',
  'listeners',
  'message ports',
  'sockets',
]);

export interface Evidence {
  /** From a root to one of the new objects. */
  readonly steps: readonly Step[];
  readonly holderClass: string;
  /** Classes of what is new, the weightiest first. */
  readonly classNames: readonly string[];
  /** Whether new objects carry the store of an AsyncLocalStorage. */
  readonly hasStores: boolean;
  /** The variable or field with the WeakMap whose value is on the path; null when it has none. */
  readonly weakMap: string | null;
}

/** A sentence for the report; null when it is plain data. */
export function explain(evidence: Evidence): { shape: Shape; sentence: string } | null {
  const { steps, hasStores, weakMap } = evidence;
  const listeners = explainListeners(steps);
  if (listeners !== null) return { shape: 'listeners', sentence: listeners };
  const pair = steps.findLastIndex(({ edge }) => edge.includes(' pair in WeakMap'));
  if (pair >= 0) {
    return { shape: 'weak values', sentence: explainWeak(weakMap, steps.slice(0, pair)) };
  }
  for (const [shape, sentence, isIt] of RULES) {
    if (!isIt(evidence)) continue;
    return { shape, sentence: hasStores ? `${sentence}; ${STORES}` : sentence };
  }
  return hasStores ? { shape: 'stores', sentence: STORES } : null;
}

// --- internal ---

/** The key is the true holder: a WeakMap keeps a value only as long as its key lives. */
function explainWeak(weakMap: string | null, toKey: readonly Step[]): string {
  const map = weakMap === null ? 'a WeakMap' : `\`${weakMap}\` (WeakMap)`;
  const key = toKey.findLast(isNamed)?.edge;
  return key === undefined
    ? `values of ${map} whose keys stay alive: look for who holds the keys`
    : `values of ${map}, whose key \`${key}\` stays alive`;
}

const STORES = 'each keeps the store of an AsyncLocalStorage alive';

const NEVER_SETTLES = 'callbacks that wait for a promise which never settles';

type Rule = readonly [Shape, string, (evidence: Evidence) => boolean];

const has =
  (pattern: RegExp) =>
  ({ holderClass, classNames }: Evidence): boolean =>
    [holderClass, ...classNames].some((className) => pattern.test(className));

const passes =
  (pattern: RegExp) =>
  ({ steps }: Evidence): boolean =>
    steps.some(({ edge }) => pattern.test(edge));

/** Nearly every leak has such objects somewhere: they tell only when they are what there is. */
const mostly =
  (pattern: RegExp) =>
  ({ classNames }: Evidence): boolean => {
    const things = classNames.filter((name) => !/^(\(|system \/)/.test(name));
    return pattern.test(things[0] ?? '');
  };

const onlyStrings = ({ classNames }: Evidence): boolean =>
  classNames.every((name) => name.startsWith('(')) && classNames.includes('(sliced string)');

/** From the certain to the vague: the first that fits is told. */
const RULES: readonly Rule[] = [
  ['timers', 'timers that are never cleared', mostly(/^(Timeout|Immediate)$/)],
  ['message ports', 'message ports that are never closed', has(/MessagePort/)],
  [
    'sockets',
    'sockets that are never closed',
    has(/^(TCP|Socket|TLSSocket|Pipe|Node \/ (TCP|Pipe|TLS))/),
  ],
  ['modules', 'modules that are loaded again and again', mostly(/^Module$/)],
  ['contexts', 'V8 contexts (`vm`) that are never let go', has(/NativeContext|ContextifyContext/)],
  ['promises', NEVER_SETTLES, passes(/reactions|^promise$/i)],
  ['promises', NEVER_SETTLES, has(/PromiseReaction/)],
  ['promises', 'promises or async functions that never finish', has(/^(Promise|Generator)$/)],
  ['slices', 'short slices that keep their whole string alive', onlyStrings],
  ['buffers', 'buffers', mostly(/^(Buffer|ArrayBuffer|SharedArrayBuffer|\w+Array)$/)],
];

/** Nearly every path in a server leads through some emitter: only the last steps tell. */
function explainListeners(steps: readonly Step[]): string | null {
  const events = steps.findLastIndex(({ edge }) => edge === '_events');
  if (events < 0) return null;
  const after = steps.slice(events + 1).filter(isNamed);
  if (after.length > 1) return null;
  const event = after[0]?.edge ?? 'an event';
  const emitter = steps[events - 1];
  const owner =
    emitter === undefined
      ? 'an emitter'
      : isNamed(emitter)
        ? `\`${emitter.edge}\` (${emitter.className})`
        : `\`${emitter.className}\``;
  return `listeners of "${event}" on ${owner}, never removed`;
}

/** Tells from a path and from what hangs there which kind of leak a person is looking at. Pure. */
import type { Step } from './heap-path.ts';

/** A sentence for the report; null when it is plain data in a variable. */
export function explain(steps: readonly Step[], classNames: readonly string[]): string | null {
  const has = (pattern: RegExp) => classNames.some((className) => pattern.test(className));
  const passes = (pattern: RegExp) => steps.some(({ edge }) => pattern.test(edge));
  const named = steps.filter(({ edgeType }) => edgeType === 'property' || edgeType === 'context');
  const events = named.findLastIndex(({ edge }) => edge === '_events');
  // Nearly every path in a server leads through some emitter: only the last steps tell.
  if (events >= 0 && events >= named.length - 2) {
    const event = named[events + 1]?.edge ?? 'an event';
    const emitter = named[events - 1];
    const owner =
      emitter === undefined ? 'an emitter' : `\`${emitter.edge}\` (${emitter.className})`;
    return `listeners of "${event}" on ${owner}: added again and again, never removed`;
  }
  const weak = steps.find(({ edge }) => edge.includes(' pair in WeakMap'));
  if (weak !== undefined) {
    return 'values of a WeakMap whose keys stay alive: look for who holds the keys';
  }
  for (const [found, sentence] of [
    [has(/^(Timeout|Immediate)$/), 'timers that are never cleared'],
    [has(/MessagePort/), 'message ports that are never closed'],
    [has(/^(TCP|Socket|TLSSocket|Pipe|Node \/ (TCP|Pipe|TLS))/), 'sockets that are never closed'],
    [has(/AsyncContextFrame|AsyncLocalStorage/), 'contexts of AsyncLocalStorage, kept alive'],
    [passes(/reactions|^promise$/i), 'callbacks that wait for a promise which never settles'],
    [has(/PromiseReaction/), 'callbacks that wait for a promise which never settles'],
    [has(/^(Promise|Generator)$/), 'promises or async functions that never finish'],
    [has(/^\(sliced string\)$/), 'short slices that keep their whole string alive'],
    [has(/JSArrayBufferData|^ArrayBuffer$/), 'buffers'],
  ] as const) {
    if (found) return sentence;
  }
  return null;
}

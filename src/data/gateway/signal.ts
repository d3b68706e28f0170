/**
 * Tells that a visit is over before its answer. As an `AbortSignal` does, which takes 7 µs and 2 KB
 * of each request: more than all bookkeeping of the gateway together.
 */
import type { AbortReason, VisitSignal } from './types.ts';

export interface Abort {
  readonly signal: VisitSignal;
  /** The first reason counts. */
  abort(reason: AbortReason): void;
}

export function createAbort(): Abort {
  const listeners: (() => void)[] = [];
  const signal = {
    aborted: false,
    reason: undefined as AbortReason | undefined,
    addEventListener(_type: 'abort', listener: () => void): void {
      listeners.push(listener);
    },
    removeEventListener(_type: 'abort', listener: () => void): void {
      const at = listeners.indexOf(listener);
      if (at !== -1) listeners.splice(at, 1);
    },
  };
  return {
    signal,
    abort(reason) {
      if (signal.aborted) return;
      signal.aborted = true;
      signal.reason = reason;
      // One of them may take another one away.
      while (listeners.length > 0) listeners.shift()!();
    },
  };
}

/**
 * A full garbage collection on demand. The inspector does it without any flag and opens no port; it
 * is loaded at the first heal only, since it would be memory of the app.
 */
import { performance } from 'node:perf_hooks';
import type * as Inspector from 'node:inspector';
import { send } from './channel.cts';

/** Collects, then says `healed`; a Node without inspector says nothing. */
export function heal(): void {
  try {
    const { Session } = require('node:inspector') as typeof Inspector;
    const session = new Session();
    session.connect();
    const startedAt = performance.now();
    session.post('HeapProfiler.collectGarbage', () => {
      const tookMs = Math.round(performance.now() - startedAt);
      // In its own callback the session would wait for itself, for ever.
      setImmediate(() => {
        session.disconnect();
        send({ type: 'healed', tookMs });
      });
    });
  } catch {
    // Built without inspector, or forbidden by --permission: this worker cannot be healed.
  }
}

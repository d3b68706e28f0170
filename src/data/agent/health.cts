/** Requests that the supervisor makes of the app, past its traffic: the warm-up, health checks. */
import { send } from './channel.cts';
import { knock } from './door.cts';
import { type Listener, listeners } from './listen.cts';

/** GETs `path` from the app and reports the status; never throws. */
export function warmUp(listener: Listener, path: string): void {
  const asked = { path, name: 'cofferdam-warmup', counted: false, timeoutMs: null };
  knock(listener, asked, ({ status, body }) => {
    const message = status === null ? `the warm-up request failed: ${body}` : '';
    send({ type: 'warm', status, message });
  });
}

/** The same for the app's health check. `counted`: such requests are what this worker is for. */
export function askApp(order: AskOrder, counted: boolean): void {
  const { id, path, timeoutMs } = order;
  const listener = [...listeners.values()].find(({ scheme }) => scheme !== 'tcp');
  if (listener === undefined) {
    send({ type: 'answer', id, status: null, kind: '', body: 'nothing listens' });
    return;
  }
  knock(listener, { path, name: 'cofferdam-health', counted, timeoutMs }, (answer) => {
    send({ type: 'answer', id, ...answer });
  });
}

// --- internal ---

interface AskOrder {
  readonly id: number;
  readonly path: string;
  readonly timeoutMs: number;
}

/**
 * The signals of the contract. Handlers only enqueue: what a signal means is decided in the loop.
 */

export type Request =
  | { readonly type: 'stop' }
  /** Ctrl-C: the first asks for a graceful stop, the second for an immediate one. */
  | { readonly type: 'interrupt' }
  | { readonly type: 'reload' }
  | { readonly type: 'recycle_all' }
  | { readonly type: 'scale_by'; readonly slots: 1 | -1 }
  | { readonly type: 'reopen_logs' };

const MEANING: Readonly<Partial<Record<NodeJS.Signals, Request | null>>> = {
  SIGTERM: { type: 'stop' },
  SIGQUIT: { type: 'stop' },
  SIGINT: { type: 'interrupt' },
  SIGHUP: { type: 'reload' },
  SIGUSR2: { type: 'recycle_all' },
  SIGTTIN: { type: 'scale_by', slots: 1 },
  SIGTTOU: { type: 'scale_by', slots: -1 },
  // Unhandled, Node would open its inspector: a logrotate habit must not open a debugger.
  SIGUSR1: { type: 'reopen_logs' },
  // Terminals send it on every resize.
  SIGWINCH: null,
};

/** Returns the function that takes all handlers away again. */
export function listenToSignals(onRequest: (request: Request) => void): () => void {
  const handlers = Object.entries(MEANING).map(([signal, request]) => {
    const handler = (): void => {
      if (request !== null) onRequest(request);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  return () => {
    for (const { signal, handler } of handlers) process.off(signal, handler);
  };
}

/**
 * The moves of a worker that closed its channel (`process.disconnect()`): it lives, but hears and
 * tells nothing any more, so it must not stay.
 */
import { become, startDrain, terminate, type Handler } from './worker-moves.ts';
import type { WorkerIn } from './worker.ts';

const DISCONNECTED = 'closed its channel to the supervisor (process.disconnect)';

export const disconnectInBoot: Handler<WorkerIn<'booting'>, 'disconnected'> = (
  worker,
  event,
  situation,
) =>
  terminate(worker, event, situation, {
    news: { type: 'boot_failed', detail: `${DISCONNECTED} while it booted`, retryAtOnce: false },
  });

/** It takes the silence for our death and drains by itself: only the deadline is left to us. */
export const disconnect: Handler<WorkerIn<'ready'>, 'disconnected'> = (
  worker,
  _event,
  situation,
) => {
  const { drainTimeoutMs: deadlineMs } = situation.policy;
  const order = { type: 'drain', deadlineMs, longDeadlineMs: deadlineMs, last: false } as const;
  const { worker: draining } = startDrain(worker, order, situation);
  const detail = `${DISCONNECTED}: it finishes its requests and is replaced`;
  return become(draining, {}, [], {
    type: 'crashed',
    leaving: false,
    code: null,
    signal: null,
    detail,
  });
};

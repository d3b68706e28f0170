/** The end of a pool: everybody leaves at once, and it always ends. */
import { dispatch } from './news.ts';
import { tell, type Turn } from './turn.ts';
import type { Outcome, PoolEvent } from './types.ts';
import { isSilent, type Worker } from './worker.ts';

/** Begins the stop, or turns a graceful one into a stop now. */
export function beginStop(turn: Turn, { mode }: Extract<PoolEvent, { type: 'stop' }>): void {
  const { pool } = turn;
  const { phase } = pool;
  const again = phase.type === 'stopping' && (phase.mode === 'now' || mode === 'graceful');
  if (phase.type === 'finished' || again) return;
  if (phase.type !== 'failed') {
    const counts =
      phase.type === 'stopping' ? phase : { cutRequests: 0, cutLongLived: 0, killed: 0 };
    const { cutRequests, cutLongLived, killed } = counts;
    pool.phase = { type: 'stopping', mode, cutRequests, cutLongLived, killed };
  }
  tell(turn, { event: 'stopping', mode, workers: pool.workers.size });
  for (const worker of pool.workers.values()) {
    if (mode === 'now') dispatch(turn, worker.id, { type: 'kill', why: 'stop now' });
    else endGracefully(turn, worker);
  }
}

/** Says that the pool is empty, once it is. */
export function finishIfEmpty(turn: Turn): void {
  const { pool } = turn;
  if (pool.workers.size > 0) return;
  const outcome = outcomeOf(pool.phase);
  if (outcome === null) return;
  pool.phase = { type: 'finished' };
  turn.effects.push({ type: 'finished', outcome });
}

// --- internal ---

function endGracefully(turn: Turn, worker: Worker): void {
  const { drainTimeoutMs: deadlineMs } = turn.pool.policy;
  // One that boots has nothing to drain: its table makes TERM of it.
  if (worker.life.state === 'stopping' || isSilent(worker)) {
    dispatch(turn, worker.id, { type: 'terminate' });
    return;
  }
  // Long-lived connections get no longer deadline here: an orchestrator kills everything after 30
  // s, and a WebSocket cut by us with a close frame is better than one cut by it without.
  dispatch(turn, worker.id, { type: 'drain', deadlineMs, longDeadlineMs: deadlineMs });
}

function outcomeOf(phase: Turn['pool']['phase']): Outcome | null {
  if (phase.type === 'failed') return { type: 'never_booted', detail: phase.detail };
  if (phase.type !== 'stopping') return null;
  const { mode, cutRequests, cutLongLived, killed } = phase;
  const late = cutRequests + cutLongLived + killed > 0;
  // Who asks for a stop now does not expect anything else.
  if (mode === 'now' || !late) return { type: 'stopped' };
  return { type: 'stopped_late', cutRequests, cutLongLived, killed };
}

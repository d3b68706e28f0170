/** The end of a pool: everybody leaves at once, and it always ends. */
import { dispatch } from './news.ts';
import { tell, type Turn } from './turn.ts';
import type { Outcome, PoolEvent } from './types.ts';
import { isSilent, type Worker } from './worker.ts';

/** Announces the stop or begins it, or turns a graceful one into a stop now. */
export function askForStop(turn: Turn, { mode }: Extract<PoolEvent, { type: 'stop' }>): void {
  const { pool, now } = turn;
  const { shutdownDelayMs: delayMs } = pool.policy;
  const { type } = pool.phase;
  if (mode === 'graceful' && type === 'leaving') return;
  // Before anything was ever ready nobody has to be told.
  if (mode === 'now' || delayMs <= 0 || type !== 'running') return beginStop(turn, mode);
  pool.phase = { type: 'leaving', stopAt: now + delayMs };
  tell(turn, { event: 'leaving', delayMs });
}

/** Begins an announced stop when its time has come. */
export function stopWhenDue(turn: Turn): void {
  const { phase } = turn.pool;
  if (phase.type === 'leaving' && phase.stopAt <= turn.now) beginStop(turn, 'graceful');
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

function beginStop(turn: Turn, mode: 'graceful' | 'now'): void {
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

function endGracefully(turn: Turn, worker: Worker): void {
  const { drainTimeoutMs: deadlineMs } = turn.pool.policy;
  // One that boots has nothing to drain: its table makes TERM of it.
  if (worker.life.state === 'stopping' || isSilent(worker)) {
    dispatch(turn, worker.id, { type: 'terminate' });
    return;
  }
  // Long-lived connections get no longer deadline here: an orchestrator kills everything after 30
  // s, and a WebSocket cut by us with a close frame is better than one cut by it without.
  dispatch(turn, worker.id, {
    type: 'drain',
    deadlineMs,
    longDeadlineMs: deadlineMs,
    last: true,
  });
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

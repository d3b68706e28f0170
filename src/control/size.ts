/** How many slots a pool wants: the one place where that number changes, and is told. */
import { noteNeed } from './scaling-state.ts';
import { changeSlot, tell, workersIn, type Turn } from './turn.ts';
import type { Told } from './types.ts';

export type ScaleReason = Extract<Told, { event: 'scaled' }>['why'];

/** A person wants so many; between the bounds of the pool, and never none. */
export function scaleTo(turn: Turn, slots: number, why: ScaleReason): void {
  const { pool } = turn;
  if (!Number.isFinite(slots) || isEnding(turn)) return;
  const { workersMin, workersMax } = pool.policy;
  // Without any worker nobody would discover the sockets; only scaling itself may go to none.
  resize(turn, Math.max(1, workersMin, Math.min(workersMax, Math.trunc(slots))), why);
}

/** Sets the number of wanted slots, and tells it if it is another one. */
export function resize(turn: Turn, to: number, why: ScaleReason): void {
  const { pool } = turn;
  const from = pool.size;
  if (to === from) return;
  pool.size = to;
  for (let number = from + 1; number <= to; number += 1) {
    // Whatever it did before it was scaled away: it begins anew, and not all of them at once.
    if (workersIn(turn, number).length === 0) changeSlot(turn, number, { everReady: false });
  }
  if (to > from) pool.scaling = noteNeed(pool.scaling, to, turn.now);
  tell(turn, { event: 'scaled', from, to, why });
}

/** What is about to end is not changed any more. */
export function isEnding({ pool: { phase } }: Turn): boolean {
  return phase.type === 'leaving' || phase.type === 'stopping' || phase.type === 'failed';
}

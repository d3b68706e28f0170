/** The floor: what a fresh worker needs, and whether the limits of its pool are above that. */
import { learnFloor } from './lessons.ts';
import { memoryLimitsOf } from './recycling.ts';
import { tell, type Turn } from './turn.ts';

/** The first sample of a ready worker. Says once per configuration that no limit can hold. */
export function noteFloor(turn: Turn, slot: number, memoryBytes: number): void {
  const { pool } = turn;
  pool.lessons = learnFloor(pool.lessons, memoryBytes);
  const limitBytes = memoryLimitsOf(pool.policy, null).soft;
  if (pool.floorTold || memoryBytes < limitBytes) return;
  pool.floorTold = true;
  tell(turn, { event: 'floor_above_limit', slot, memoryBytes, limitBytes });
}

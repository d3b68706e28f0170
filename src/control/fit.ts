/** How many workers fit: what the CPUs allow, unless the floor of the first one says less. */
import { FLOOR_HEADROOM } from './recycling.ts';
import { resize } from './size.ts';
import { tell, type PoolState, type Turn } from './turn.ts';

/** The first sample comes at once; where the kernel tells no memory (macOS) it never comes. */
const FLOOR_WAIT_MS = 1000;

/** Once, when the floor of the first worker is known. */
export function fitWorkers(turn: Turn): void {
  const { pool, now } = turn;
  const { budgetBytes, workers } = pool.policy;
  if (pool.fittedAt !== null || pool.phase.type !== 'running') return;
  const floorBytes = pool.lessons.floorBytes;
  if (floorBytes === null && now < (fitAt(pool) ?? now)) return;
  pool.fittedAt = now;
  if (budgetBytes === 0 || floorBytes === null) return;
  const fitting = countFitting(pool, floorBytes);
  const detail = explainFloor(pool, floorBytes);
  tell(turn, { event: 'floor_measured', floorBytes, workers, budgetBytes, detail });
  if (!pool.policy.fitWorkers || fitting >= pool.size) return;
  resize(turn, Math.max(1, fitting), 'memory');
}

/** Whether the other workers wait for the floor of the first one. */
export function waitsForFloor({ policy, fittedAt }: PoolState): boolean {
  return policy.fitWorkers && policy.budgetBytes > 0 && fittedAt === null;
}

/** So long the floor of the first worker is waited for; null = it is not. */
export function fitAt(pool: PoolState): number | null {
  if (pool.fittedAt !== null) return null;
  const readyAt = [...pool.workers.values()].map((worker) => worker.readyAt ?? Infinity);
  const at = Math.min(...readyAt) + FLOOR_WAIT_MS;
  return at === Infinity ? null : at;
}

/** How the pool fits into its budget by this floor, or why it does not. */
export function explainFloor(pool: PoolState, floorBytes: number): string {
  const { policy, size, overheadBytes } = pool;
  const fitting = countFitting(pool, floorBytes);
  const mib = (bytes: number): string => `${Math.round(bytes / MEBIBYTE)}MiB`;
  const surge = Math.min(policy.surge, 1);
  const sum = overheadBytes + (size + surge) * floorBytes;
  const floors = `floor ${mib(floorBytes)} x (${size} + ${surge} surge) + ${mib(overheadBytes)}`;
  if (policy.budgetBytes === 0) return `${floors} = ${mib(sum)}`;
  const sums = `${floors} = ${mib(sum)} of ${mib(policy.budgetBytes)}`;
  if (fitting >= size) return sums;
  return policy.fitWorkers
    ? `${sums}: room for ${Math.max(1, fitting)} workers`
    : `${sums}: this cannot hold, ${Math.max(1, fitting)} workers would fit`;
}

// --- internal ---

const MEBIBYTE = 1024 * 1024;

/** Each worker has to be able to grow before a replacement pays; the surge one only has to boot. */
function countFitting({ policy, overheadBytes }: PoolState, floorBytes: number): number {
  const surge = Math.min(policy.surge, 1);
  const left = policy.budgetBytes - overheadBytes - surge * floorBytes;
  return Math.max(0, Math.floor(left / (floorBytes * FLOOR_HEADROOM)));
}

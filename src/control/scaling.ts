/**
 * How many workers the load needs: up at once and in steps that double, for a pool whose workers
 * are all busy does not show how many more it needs; down one by one, and only what was not needed
 * for a whole idle timeout.
 */
import { surgeBytes, usedBytes } from './budget.ts';
import { longestBootMs } from './lessons.ts';
import { FLOOR_HEADROOM } from './recycling.ts';
import { noteNeed } from './scaling-state.ts';
import { resize } from './size.ts';
import { tell, type PoolState, type Turn } from './turn.ts';
import type { PoolEvent } from './types.ts';
import type { Worker } from './worker.ts';

/** Busier than this, requests queue in front of an event loop (at 0.7 a request waits for two). */
export const BUSY_SHARE = 0.7;
/** An event loop that stood still for so long let its clients wait, however idle it was else. */
export const LAG_LIMIT_MS = 200;
/** A report comes each second: a worker with requests that missed one is busy with them. */
export const SILENT_MS = 1500;
/** Between two steps up: a report out of turn, which shows what the last one did, takes 50 ms. */
export const STEP_LEAST_MS = 100;
/** Workers that boot may yet be enough: so long they are waited for, or as long as boots take. */
export const STEP_BOOT_MS = 1000;
/** A rise that begins so long after the last step is another one, and begins with one worker. */
export const RISE_MS = 10_000;
/** Between two workers that are sent away: a connection storm of one at a time is none. */
export const SHRINK_MS = 1000;

/** Requests wait for a worker. */
export function noteDemand(turn: Turn, event: Extract<PoolEvent, { type: 'demand' }>): void {
  const { pool } = turn;
  const waiting = Math.max(0, Math.floor(event.waiting));
  if (Number.isFinite(waiting)) pool.scaling = { ...pool.scaling, waiting };
}

/** Follows the load, within the bounds of the pool and what its budget has room for. */
export function scaleByLoad(turn: Turn): void {
  const { pool, now } = turn;
  if (!scales(pool)) return;
  // What was there before the first look was wanted by somebody.
  if (pool.scaling.neededAt.length < pool.size) {
    pool.scaling = noteNeed(pool.scaling, pool.size, now);
  }
  const need = needOf(pool, now);
  const [least, most] = boundsOf(pool);
  const wanted = Math.max(least, need.isGuess ? pool.size : Math.min(most, need.workers));
  pool.scaling = noteNeed(pool.scaling, wanted, now);
  if (Math.max(least, need.workers) <= pool.size) return shrink(turn, least);
  if (need.isGuess && !mayStep(pool, now)) return;
  // One there has to be, or nobody would be served at all.
  const room = Math.min(most, Math.max(1, roomOf(pool)));
  if (room <= pool.size) return tellCapacity(turn, need.workers, most);
  const { step, steppedAt } = pool.scaling;
  pool.scaling = {
    ...pool.scaling,
    step: now - steppedAt > RISE_MS ? 2 : Math.min(2 * step, most),
    steppedAt: now,
  };
  resize(turn, Math.min(Math.max(least, need.workers), room), 'demand');
}

/** When the load may have to be looked at again although nothing happened; Infinity = never. */
export function nextScaleAt(pool: PoolState): number {
  if (!scales(pool)) return Infinity;
  const { steppedAt } = pool.scaling;
  let next = shrinkAt(pool);
  const consider = (at: number): void => {
    if (at > pool.now && at < next) next = at;
  };
  consider(steppedAt + STEP_LEAST_MS);
  consider(steppedAt + bootWaitMs(pool));
  for (const worker of pool.workers.values()) {
    if (worker.life.state === 'ready') consider(worker.lastReportAt + SILENT_MS);
  }
  return next;
}

/** Share 0..1 of what a ready worker can do that it does now, for requests. */
export function busyShareOf(worker: Worker, concurrency: number, now: number): number {
  const { inFlight, eventLoopUtilization } = worker.report;
  if (concurrency > 0) return Math.min(1, inFlight / concurrency);
  // A timer or a job of its own keeps a worker busy, too: another worker would only have the same.
  if (inFlight === 0 && worker.busyAt < worker.lastReportAt) return 0;
  if (inFlight > 0 && now - worker.lastReportAt >= SILENT_MS) return 1;
  return worker.lagMs >= LAG_LIMIT_MS ? 1 : eventLoopUtilization;
}

// --- internal ---

/** Not before the first worker has shown what a worker needs, nor while the pool ends. */
function scales({ policy, phase, fittedAt }: PoolState): boolean {
  return policy.strategy !== 'static' && phase.type === 'running' && fittedAt !== null;
}

function boundsOf({ policy, trial }: PoolState): [least: number, most: number] {
  const { strategy, workersMin, workersMax, spare } = policy;
  const canary = trial === null ? 0 : 1;
  if (strategy === 'ondemand') return [canary, workersMax];
  return [Math.min(workersMax, Math.max(1, workersMin, spare)), workersMax];
}

/** Workers that are needed now, be it more than there may be. */
interface Need {
  readonly workers: number;
  /** All are busy: how many more would be is not known, only that it is more. */
  readonly isGuess: boolean;
}

function needOf(pool: PoolState, now: number): Need {
  const { policy, scaling, workers, size } = pool;
  const { concurrency, strategy } = policy;
  const spare = strategy === 'dynamic' ? policy.spare : 0;
  let busy = 0;
  let ready = 0;
  let isActive = scaling.waiting > 0;
  for (const worker of workers.values()) {
    if (worker.life.state !== 'ready' || worker.slot > size) continue;
    ready += 1;
    busy += busyShareOf(worker, concurrency, now);
    isActive ||= worker.report.inFlight > 0 || worker.busyAt === now;
  }
  const active = isActive ? 1 : 0;
  if (concurrency > 0) {
    const wanted = Math.ceil(busy + scaling.waiting / concurrency) + spare;
    return { workers: Math.max(active, wanted), isGuess: false };
  }
  const known = Math.max(active, Math.ceil(round(busy / BUSY_SHARE)) + spare);
  if (ready === 0 || round(busy) < round(ready * BUSY_SHARE)) {
    return { workers: known, isGuess: false };
  }
  return { workers: Math.max(known, size + stepOf(pool, now)), isGuess: true };
}

function stepOf({ scaling: { step, steppedAt } }: PoolState, now: number): number {
  return now - steppedAt > RISE_MS ? 1 : step;
}

/** What the last step did has to show first. */
function mayStep(pool: PoolState, now: number): boolean {
  const { scaling, workers } = pool;
  const sinceMs = now - scaling.steppedAt;
  if (sinceMs >= bootWaitMs(pool)) return true;
  const boots = [...workers.values()].some(({ life }) => life.state === 'booting');
  return sinceMs >= STEP_LEAST_MS && !boots;
}

function bootWaitMs({ lessons }: PoolState): number {
  return Math.max(STEP_BOOT_MS, longestBootMs(lessons));
}

/** Shares are sums of fractions: 0.7 / 0.7 must be one worker, not two. */
function round(share: number): number {
  return Math.round(share * 1e6) / 1e6;
}

/** Workers that the budget has room for. */
function roomOf(pool: PoolState): number {
  const { budgetBytes, surge } = pool.policy;
  const floorBytes = surgeBytes(pool);
  if (budgetBytes === 0) return Infinity;
  const slots = new Set([...pool.workers.values()].map(({ slot }) => slot));
  const live = [...slots].filter((slot) => slot <= pool.size).length;
  // A new configuration was not sampled yet.
  if (floorBytes === 0) return usedBytes(pool) < budgetBytes ? Infinity : live;
  const freeBytes = budgetBytes - usedBytes(pool) - Math.min(surge, 1) * floorBytes;
  return live + Math.max(0, Math.floor(freeBytes / (floorBytes * FLOOR_HEADROOM)));
}

function tellCapacity(turn: Turn, need: number, most: number): void {
  const { pool } = turn;
  const { capped, waiting } = pool.scaling;
  if (capped) return;
  pool.scaling = { ...pool.scaling, capped: true };
  const isMost = pool.size >= most;
  const bound = isMost ? `${most} workers are the most` : 'the memory budget has no room for more';
  const detail = `${need} are needed, ${bound}`;
  tell(turn, { event: 'at_capacity', workers: pool.size, waiting, detail });
}

/** Infinity while there is nothing to send away. */
function shrinkAt(pool: PoolState): number {
  const { scaling, size, policy } = pool;
  const [least] = boundsOf(pool);
  if (size <= least) return Infinity;
  const neededAt = scaling.neededAt[size - 1] ?? pool.now;
  return Math.max(neededAt + policy.idleTimeoutMs, scaling.shrunkAt + SHRINK_MS);
}

function shrink(turn: Turn, least: number): void {
  const { pool, now } = turn;
  if (pool.scaling.capped) pool.scaling = { ...pool.scaling, capped: false };
  if (pool.size <= least || shrinkAt(pool) > now) return;
  pool.scaling = { ...pool.scaling, shrunkAt: now };
  resize(turn, pool.size - 1, 'idle');
}

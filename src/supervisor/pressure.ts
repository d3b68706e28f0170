/**
 * Whether the kernel is short of memory for our control group. It never kills anybody by itself: it
 * brings a planned recycle forward.
 */
import { totalmem } from 'node:os';
import {
  findMemoryCgroup,
  readCgroupEvents,
  readCgroupLimit,
  readCgroupStall,
  readCgroupUsage,
  type MemoryCgroup,
} from '../metrics/cgroup.ts';

export interface PressureOptions {
  onPressure(): void;
  readonly cgroup?: MemoryCgroup | null;
  readonly totalRamBytes?: number;
}

export interface PressureWatch {
  /** Looks now: for the timer, and for tests. */
  look(): void;
  stop(): void;
}

/** The kernel averages over 10 s: looking more often would not see more. */
const LOOK_MS = 2000;
/** Percent of the last 10 s in which all tasks of the group waited for memory. */
const STALL_PERCENT = 10;
/** Stalls count only with less than this share of the limit left: a slow disk stalls, too. */
const HEADROOM_SHARE = 0.1;

export function watchPressure(options: PressureOptions): PressureWatch {
  const { totalRamBytes = totalmem() } = options;
  const cgroup = options.cgroup === undefined ? findMemoryCgroup() : options.cgroup;
  let last = cgroup && readCgroupEvents(cgroup);
  const look = (): void => {
    if (cgroup === null) return;
    const events = readCgroupEvents(cgroup);
    const reclaimed = (events?.highHits ?? 0) > (last?.highHits ?? 0);
    const killed = (events?.oomKills ?? 0) > (last?.oomKills ?? 0);
    last = events;
    if (reclaimed || killed || isStalled(cgroup, totalRamBytes)) options.onPressure();
  };
  const timer = setInterval(look, LOOK_MS);
  return { look, stop: () => clearInterval(timer) };
}

// --- internal ---

function isStalled(cgroup: MemoryCgroup, totalRamBytes: number): boolean {
  if ((readCgroupStall(cgroup) ?? 0) < STALL_PERCENT) return false;
  const limit = readCgroupLimit(cgroup, totalRamBytes);
  const used = limit && readCgroupUsage(cgroup, limit.directory);
  return limit !== null && used !== null && used > limit.limitBytes * (1 - HEADROOM_SHARE);
}

/** How much memory the whole tree (supervisor, workers, one surge worker) may use, and says who. */
import { totalmem } from 'node:os';
import { findMemoryCgroup, readCgroupLimit } from './cgroup.ts';
import type { Root } from './process-memory.ts';

export interface Budget {
  readonly bytes: number;
  readonly origin: 'flag' | 'cgroup v2' | 'cgroup v1' | 'host';
  /** The limit that the kernel enforces on us, whatever the origin; null = none. */
  readonly limitBytes: number | null;
}

/**
 * The flag, else nine tenths of the control group's limit, else 80 % of the machine. `flagBytes` 0
 * or null means that the user named none.
 */
export function resolveBudget({
  flagBytes = null,
  totalRamBytes = totalmem(),
  root = '/',
}: { readonly flagBytes?: number | null; readonly totalRamBytes?: number } & Root = {}): Budget {
  const cgroup = findMemoryCgroup({ root });
  const limit = cgroup && readCgroupLimit(cgroup, totalRamBytes);
  const limitBytes = limit?.limitBytes ?? null;
  if (flagBytes !== null && flagBytes > 0) return { bytes: flagBytes, origin: 'flag', limitBytes };
  if (cgroup !== null && limitBytes !== null) {
    const bytes = Math.floor(limitBytes * CGROUP_SHARE);
    return { bytes, origin: `cgroup v${cgroup.version}`, limitBytes };
  }
  return { bytes: Math.floor(totalRamBytes * HOST_SHARE), origin: 'host', limitBytes };
}

// --- internal ---

/**
 * The tenth that is left pays for kernel memory and page cache, which no process shows as its own.
 */
const CGROUP_SHARE = 0.9;

/** On a bare machine the system and its other services want their part. */
const HOST_SHARE = 0.8;

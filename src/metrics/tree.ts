/**
 * Memory of the whole tree of processes, as a container would be charged for it.
 *
 * Method: the anonymous memory of each process, read every time, plus the file pages of the Node
 * binary and its libraries counted once: the sum of Pss_File, refreshed rarely, for it costs
 * milliseconds and hardly changes. Before the first refresh: the largest file share of any of them.
 *
 * Error, measured with five processes of 294 MiB together: 0.1 % against the sum of PSS after a
 * refresh, 0.3 % before the first one. The sum of RSS would have said 446 MiB.
 */
import {
  readSmapsRollup,
  readWorkerMemory,
  type Root,
  type WorkerMemory,
} from './process-memory.ts';

export interface TreeMemory {
  /** Σ anonymous memory: what leaks, and what recycling gives back. */
  readonly anonBytes: number;
  /** File pages, each counted once. Reclaimable, so it is not what an OOM kill is about. */
  readonly fileBytes: number;
  readonly totalBytes: number;
}

export interface TreeMeter {
  /** Synchronous, about 25 µs per process; null where the kernel does not tell (macOS). */
  read(pids: readonly number[]): TreeMemory | null;
  /** The same from what was read already. */
  add(memories: readonly WorkerMemory[]): TreeMemory | null;
  /** Reads the shared file pages anew; for a slow timer, and after each recycle if one likes. */
  refresh(pids: readonly number[]): Promise<void>;
  /** Proportional memory of one process at the last refresh; 0 when it was not there yet. */
  pssBytes(pid: number): number;
}

export function createTreeMeter({ root = '/' }: Root = {}): TreeMeter {
  let sharedFileBytes: number | null = null;
  let refreshing = false;
  let pss = new Map<number, number>();

  function add(memories: readonly WorkerMemory[]): TreeMemory | null {
    if (memories.length === 0) return null;
    const anonBytes = memories.reduce((sum, memory) => sum + memory.anonBytes, 0);
    const largestFileBytes = Math.max(
      ...memories.map((memory) => memory.rssBytes - memory.anonBytes),
    );
    const fileBytes = sharedFileBytes ?? largestFileBytes;
    return { anonBytes, fileBytes, totalBytes: anonBytes + fileBytes };
  }

  function read(pids: readonly number[]): TreeMemory | null {
    const found = pids.map((pid) => readWorkerMemory(pid, { root }));
    return add(found.filter((memory) => memory !== null));
  }

  async function refresh(pids: readonly number[]): Promise<void> {
    // The kernel holds the process's memory lock while it walks: never two walks at once.
    if (refreshing) return;
    refreshing = true;
    try {
      let sum = 0;
      const found = new Map<number, number>();
      for (const pid of pids) {
        const rollup = await readSmapsRollup(pid, { root });
        if (rollup === null) continue;
        sum += rollup.pssFileBytes;
        found.set(pid, rollup.pssBytes);
      }
      pss = found;
      if (sum > 0) sharedFileBytes = sum;
    } finally {
      refreshing = false;
    }
  }

  return { read, add, refresh, pssBytes: (pid) => pss.get(pid) ?? 0 };
}

/**
 * A control group with a memory limit, version 1 or 2, below our own where the machine allows it:
 * what a container is to the processes inside it.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The last process may have ended a moment ago, and the kernel not have noticed. */
const REMOVE_TRIES = 40;
const REMOVE_PAUSE_MS = 50;

/** Control files by version: the limit, the same with swap (where there is one), the peak. */
const FILES = {
  1: {
    limit: 'memory.limit_in_bytes',
    swap: ['memory.memsw.limit_in_bytes', (limitBytes) => limitBytes],
    peak: 'memory.max_usage_in_bytes',
  },
  2: { limit: 'memory.max', swap: ['memory.swap.max', () => 0], peak: 'memory.peak' },
};

/**
 * `cgroup` is ours, as `findMemoryCgroup` of dist/metrics/cgroup.js tells it. Null where no group
 * can be made: not root, a read-only mount, a controller that is not handed down.
 */
export function openMemoryBox(cgroup, limitBytes) {
  if (cgroup === null) return null;
  const files = FILES[cgroup.version];
  for (const parent of cgroup.directories) {
    // Version 2 wants processes in the leaves only, so that often it has to be beside our own.
    const directory = join(parent, `cofferdam-box-${process.pid}`);
    if (make(directory, files, limitBytes)) return boxOf(directory, cgroup.version, files);
  }
  return null;
}

// --- internal ---

function make(directory, { limit, swap: [swapFile, swapBytes] }, limitBytes) {
  try {
    mkdirSync(directory);
  } catch {
    return false;
  }
  try {
    // Without the controller the file is not there, and must not be made.
    writeFileSync(join(directory, limit), String(limitBytes), { flag: 'r+' });
  } catch {
    rmdirSync(directory);
    return false;
  }
  try {
    writeFileSync(join(directory, swapFile), String(swapBytes(limitBytes)), { flag: 'r+' });
  } catch {
    // A kernel that does not count swap.
  }
  return true;
}

function boxOf(directory, version, files) {
  return {
    version,
    /** A command in front of another one, which then begins its life inside the box. */
    enter: ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', join(directory, 'cgroup.procs')],
    /** The most that the kernel has charged, file pages included; null where it does not tell. */
    peakBytes: () => numberIn(join(directory, files.peak), /^(\d+)/),
    oomKills: () => {
      const file = version === 1 ? 'memory.oom_control' : 'memory.events';
      return numberIn(join(directory, file), /^oom_kill (\d+)/m);
    },
    /** When all processes in it have ended. */
    async close() {
      for (let tries = 1; ; tries += 1) {
        try {
          return rmdirSync(directory);
        } catch (error) {
          if (tries === REMOVE_TRIES) throw error;
        }
        await sleep(REMOVE_PAUSE_MS);
      }
    },
  };
}

function numberIn(file, pattern) {
  try {
    const found = pattern.exec(readFileSync(file, 'utf8'));
    return found === null ? null : Number(found[1]);
  } catch {
    return null;
  }
}

/** A process and all that it started, through /proc, for the demo and the benches. */
import { readdirSync, readFileSync } from 'node:fs';

/** Ticks per second of the times in /proc/<pid>/stat; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** The process and its living descendants; only the process itself where there is no /proc. */
export function treeOf(pid) {
  const tree = [pid];
  for (const each of tree) tree.push(...childrenOf(each));
  return tree;
}

/**
 * CPU seconds that the tree has used since it began, descendants that are gone included (their
 * parents inherit the bill, when they are waited for).
 */
export function cpuSecondsOf(pid) {
  let ticks = 0;
  for (const each of treeOf(pid)) {
    const [user, system, childUser, childSystem] = statFields(each).slice(11, 15).map(Number);
    ticks += (user ?? 0) + (system ?? 0) + (childUser ?? 0) + (childSystem ?? 0);
  }
  return ticks / TICKS_PER_SECOND;
}

// --- internal ---

function childrenOf(pid) {
  const threads = `/proc/${pid}/task`;
  try {
    return readdirSync(threads).flatMap((thread) =>
      readFileSync(`${threads}/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    // It ended in the meantime, or this is not Linux.
    return [];
  }
}

/** Fields from the third (state) on: the name before it may contain blanks and brackets. */
function statFields(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

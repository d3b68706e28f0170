/**
 * Whatever ends a bench, a signal included, leaves no process and no folder behind. Imported for
 * that alone, it sees to the signals and to all that the bench started.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { treeOf } from '../scripts/process-tree.mjs';

/** A folder that is gone with the bench at the latest. */
export function scratchFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-bench-'));
  folders.add(folder);
  return folder;
}

/**
 * For what leaves our own tree, as daemons do: `pidOf()` says which process is its root, as far as
 * that is known. Returns how to forget it.
 */
export function killAtExit(pidOf) {
  roots.add(pidOf);
  return () => roots.delete(pidOf);
}

// --- internal ---

const folders = new Set();
const roots = new Set();

for (const name of ['SIGHUP', 'SIGINT', 'SIGTERM']) {
  process.once(name, () => process.exit(128 + constants.signals[name]));
}

process.once('exit', () => {
  const trees = [...roots].map((pidOf) => pidOf()).filter((pid) => pid > 0);
  const all = [...trees.flatMap(treeOf), ...treeOf(process.pid).slice(1)];
  for (const pid of all) killOne(pid);
  // Who was just killed may still be writing there.
  for (const folder of folders) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
});

function killOne(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

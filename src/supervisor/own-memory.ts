/**
 * Keeps our own house dry: V8 lets the young generation of a supervisor that recycles a lot grow to
 * three times what lives in it, and gives nothing back by itself.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Returns a function to be called now and then with our private memory, bytes. */
export function createOwnHeal(): (privateBytes: number) => void {
  let collect: (() => void) | null = null;
  let inUseBytes = 0;
  let isHealed = false;
  return (privateBytes) => {
    // What the last collection could not give back is in use: it has to grow again first.
    if (isHealed) inUseBytes = privateBytes;
    isHealed = privateBytes >= Math.max(HEAL_ABOVE_BYTES, inUseBytes * WORTH_IT);
    if (!isHealed) return;
    collect ??= exposeCollector();
    collect();
  };
}

// --- internal ---

const MIB = 2 ** 20;

/** Below what we promise for the supervisor (25 MiB), above what it is at rest (12 to 17). */
const HEAL_ABOVE_BYTES = 22 * MIB;

/** A full collection pauses us for some 10 ms; for less growth than this it is not worth it. */
const WORTH_IT = 1.1;

/** The flag works at run time, for contexts that are made afterwards. */
function exposeCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

/** Measures the app: what it knows of itself by the probe, the rest from outside. */
import { readFile, readdir, readlink } from 'node:fs/promises';
import { readSmapsRollup, readWorkerMemory } from '../metrics/process-memory.ts';
import { walkMalloc } from './malloc-walk.ts';
import type { ProbeReply, ProbeRequest } from './probe-messages.ts';

/** One checkpoint; the caller adds when and in which phase it was. */
export async function measure(pid: number, ask: (request: ProbeRequest) => Promise<ProbeReply>) {
  const reply = await ask({ type: 'sample' });
  if (reply.type !== 'sample') throw new Error('the probe answered something else');
  const memory = readWorkerMemory(pid);
  const rollup = await readSmapsRollup(pid);
  const native = walkMalloc(pid);
  return {
    ...reply.sample,
    rssBytes: memory?.rssBytes ?? reply.sample.rssBytes,
    anonBytes: memory?.anonBytes ?? null,
    pssBytes: rollup?.pssBytes ?? null,
    privateBytes: rollup?.privateBytes ?? null,
    descriptors: await countDescriptors(pid),
    descriptorLimit: await readDescriptorLimit(pid),
    nativeInUseBytes: native?.inUseBytes ?? null,
    mallocFreeBytes: native?.freeBytes ?? null,
  };
}

/** What its descriptors point to, and how many each: `/tmp/log.txt`, `socket`, `pipe`. */
export async function describeDescriptors(pid: number): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  try {
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => 'closed');
      const what = link.replace(/^(socket|pipe|anon_inode):.*/, '$1');
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
  } catch {
    // As above: without /proc there is nothing to tell.
  }
  return counts;
}

// --- internal ---

async function countDescriptors(pid: number): Promise<number | null> {
  try {
    return (await readdir(`/proc/${pid}/fd`)).length;
  } catch {
    // No /proc on macOS: descriptors stay unjudged there.
    return null;
  }
}

/** The soft limit: what the next `open` meets. */
async function readDescriptorLimit(pid: number): Promise<number | null> {
  try {
    const text = await readFile(`/proc/${pid}/limits`, 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(text)?.[1] ?? Number.NaN) || null;
  } catch {
    return null;
  }
}

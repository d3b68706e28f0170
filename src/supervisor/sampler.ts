/**
 * Reads the memory of every worker each second, from outside, so that a stuck worker is seen too.
 */
import type { PoolEvent, WorkerId } from '../control/types.ts';
import { readWorkerMemory } from '../metrics/process-memory.ts';
import { createTreeMeter, type TreeMemory } from '../metrics/tree.ts';

export interface SamplerOptions {
  workers(): readonly { readonly worker: WorkerId; readonly pid: number }[];
  emit(event: PoolEvent): void;
}

export interface Sampler {
  /** Reads one worker now, out of turn. */
  sample(worker: WorkerId, pid: number): void;
  /** Memory of supervisor and workers at this moment; null where the kernel does not tell. */
  tree(): TreeMemory | null;
  supervisorBytes(): number | null;
  stop(): void;
}

/** A leak of 100 MB/s is caught within one sample; 25 µs per worker make more pointless to save. */
const SAMPLE_MS = 1000;

/** File pages hardly change, and to count them costs milliseconds per process. */
const SHARED_PAGES_MS = 30_000;

export function startSampler(options: SamplerOptions): Sampler {
  const meter = createTreeMeter();
  const pids = (): number[] => [process.pid, ...options.workers().map(({ pid }) => pid)];
  const sample = (worker: WorkerId, pid: number): void => {
    const memory = readWorkerMemory(pid);
    if (memory !== null) options.emit({ type: 'sample', worker, memoryBytes: memory.anonBytes });
  };
  const round = setInterval(() => {
    for (const { worker, pid } of options.workers()) sample(worker, pid);
  }, SAMPLE_MS);
  const refresh = setInterval(() => void meter.refresh(pids()), SHARED_PAGES_MS);
  return {
    sample,
    tree: () => meter.read(pids()),
    supervisorBytes: () => readWorkerMemory(process.pid)?.anonBytes ?? null,
    stop() {
      clearInterval(round);
      clearInterval(refresh);
    },
  };
}

/**
 * Reads the memory of every worker each second, from outside, so that a stuck worker is seen too.
 */
import type { PoolEvent, WorkerId } from '../control/types.ts';
import { readWorkerMemory } from '../metrics/process-memory.ts';
import { performance } from 'node:perf_hooks';
import { createTreeMeter, type TreeMemory } from '../metrics/tree.ts';

export interface SamplerOptions {
  workers(): readonly { readonly worker: WorkerId; readonly pid: number }[];
  emit(event: PoolEvent): void;
}

export interface Sampler {
  /** Reads one worker now; who is never read like this is read once a second. */
  sample(worker: WorkerId, pid: number): void;
  /** Memory of supervisor and workers at this moment; null where the kernel does not tell. */
  tree(): TreeMemory | null;
  supervisorBytes(): number | null;
  stop(): void;
}

/** A leak of 100 MB/s is caught within one sample; 25 µs per worker make more pointless to save. */
const SAMPLE_MS = 1000;

/** A report comes each second, and the memory is read with it: who is later than that is stuck. */
const LATE_MS = 1400;

/** File pages hardly change, and to count them costs milliseconds per process. */
const SHARED_PAGES_MS = 30_000;

export function startSampler(options: SamplerOptions): Sampler {
  const sampledAt = new Map<WorkerId, number>();
  const meter = createTreeMeter();
  const pids = (): number[] => [process.pid, ...options.workers().map(({ pid }) => pid)];
  const sample = (worker: WorkerId, pid: number): void => {
    const memory = readWorkerMemory(pid);
    if (memory === null) return;
    sampledAt.set(worker, performance.now());
    options.emit({ type: 'sample', worker, memoryBytes: memory.anonBytes });
  };
  const sampleLate = (): void => {
    const dueAt = performance.now() - LATE_MS;
    const live = new Set(options.workers().map(({ worker }) => worker));
    for (const worker of sampledAt.keys()) if (!live.has(worker)) sampledAt.delete(worker);
    for (const { worker, pid } of options.workers()) {
      if ((sampledAt.get(worker) ?? 0) <= dueAt) sample(worker, pid);
    }
  };
  const emitOverhead = (): void => {
    const ownBytes = readWorkerMemory(process.pid)?.anonBytes ?? 0;
    const tree = meter.read(pids());
    options.emit({ type: 'overhead', bytes: ownBytes + (tree?.fileBytes ?? 0) });
  };
  emitOverhead();
  const round = setInterval(() => {
    sampleLate();
    emitOverhead();
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

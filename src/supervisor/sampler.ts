/**
 * Reads the memory of every worker each second, from outside, so that a stuck worker is seen too.
 */
import { readWorkerMemory, type WorkerMemory } from '../metrics/process-memory.ts';
import { createTreeMeter, type TreeMemory } from '../metrics/tree.ts';
import { createOwnHeal } from './own-memory.ts';

/** A worker process, and who wants to know its memory. */
export interface Sampled {
  readonly pid: number;
  readonly took: (memory: WorkerMemory) => void;
}

export interface SamplerOptions {
  workers(): readonly Sampled[];
}

export interface Sampler {
  /** Reads one worker now, out of turn. */
  sample(worker: Sampled): void;
  /** Memory of supervisor and workers, a second old; null where the kernel does not tell. */
  tree(): TreeMemory | null;
  supervisorBytes(): number | null;
  /** Proportional memory of a worker, as old as the last look at the shared pages. */
  pssBytes(pid: number): number;
  stop(): void;
}

/** A leak of 100 MB/s is caught within one sample; 25 µs per worker make more pointless to save. */
const SAMPLE_MS = 1000;

/** File pages hardly change, and to count them costs milliseconds per process. */
const SHARED_PAGES_MS = 30_000;

/** By then a usual pool has booted. */
const FIRST_LOOK_MS = 5000;

export function startSampler(options: SamplerOptions): Sampler {
  const meter = createTreeMeter();
  const pids = (): number[] => [process.pid, ...options.workers().map(({ pid }) => pid)];
  const sample = ({ pid, took }: Sampled): WorkerMemory | null => {
    const memory = readWorkerMemory(pid);
    if (memory !== null) took(memory);
    return memory;
  };
  let own = readWorkerMemory(process.pid);
  let tree: TreeMemory | null = null;
  const readAll = (): void => {
    own = readWorkerMemory(process.pid);
    const all = [own, ...options.workers().map(sample)];
    tree = meter.add(all.filter((memory) => memory !== null));
  };
  const round = setInterval(readAll, SAMPLE_MS);
  const healSelf = createOwnHeal();
  const look = (): void => {
    if (own !== null) healSelf(own.anonBytes);
    void meter.refresh(pids());
  };
  const firstLook = setTimeout(look, FIRST_LOOK_MS);
  const refresh = setInterval(look, SHARED_PAGES_MS);
  return {
    sample: (worker) => void sample(worker),
    // Of the last round: a scrape of 64 workers must not read 64 files.
    tree: () => tree ?? meter.read(pids()),
    supervisorBytes: () => own?.anonBytes ?? null,
    pssBytes: (pid) => meter.pssBytes(pid),
    stop() {
      clearInterval(round);
      clearTimeout(firstLook);
      clearInterval(refresh);
    },
  };
}

/**
 * Reads the memory of every worker each second, from outside, so that a stuck worker is seen too.
 */
import { performance } from 'node:perf_hooks';
import { readWorkerMemory, type WorkerMemory } from '../metrics/process-memory.ts';
import { createTreeMeter, type TreeMemory } from '../metrics/tree.ts';
import { createOwnHeal } from './own-memory.ts';

/** A process, and who wants to know its memory. */
export interface Sampled {
  readonly pid: number;
  /** Null when it is gone, or where the system does not tell. */
  readonly read: () => WorkerMemory | null;
  readonly took: (memory: WorkerMemory) => void;
}

export interface SamplerOptions {
  /** All but our own. */
  processes(): readonly Sampled[];
  /** Each round: what is in use beside the workers, bytes. */
  onOverhead(bytes: number): void;
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

/** A report comes each second, and the memory is read with it: who is later than that is stuck. */
const LATE_MS = 1400;

/** File pages hardly change, and to count them costs milliseconds per process. */
const SHARED_PAGES_MS = 30_000;

/** By then a usual pool has booted. */
const FIRST_LOOK_MS = 5000;

export function startSampler(options: SamplerOptions): Sampler {
  const meter = createTreeMeter();
  const known = new Map<number, Reading>();
  const read = ({ pid, read: readMemory, took }: Sampled): void => {
    const memory = readMemory();
    if (memory === null) return;
    known.set(pid, { memory, at: performance.now() });
    took(memory);
  };
  const pids = (): number[] => [process.pid, ...options.processes().map(({ pid }) => pid)];
  let own = readWorkerMemory(process.pid);
  let tree: TreeMemory | null = null;
  const round = (): void => {
    own = readWorkerMemory(process.pid);
    const workers = options.processes();
    const lateAt = performance.now() - LATE_MS;
    for (const worker of workers) if ((known.get(worker.pid)?.at ?? 0) <= lateAt) read(worker);
    keepOnly(known, workers);
    const memories = [...known.values()].map(({ memory }) => memory);
    tree = meter.add(own === null ? memories : [own, ...memories]);
    if (own !== null) options.onOverhead(own.anonBytes + (tree?.fileBytes ?? 0));
  };
  // Soon, but not before there are pools to ask.
  const firstRound = setImmediate(round);
  const rounds = setInterval(round, SAMPLE_MS);
  const healSelf = createOwnHeal();
  const look = (): void => {
    if (own !== null) healSelf(own.anonBytes);
    void meter.refresh(pids());
  };
  const firstLook = setTimeout(look, FIRST_LOOK_MS);
  const refresh = setInterval(look, SHARED_PAGES_MS);
  return {
    sample: read,
    // Of the last round: a scrape of 64 workers must not read 64 files.
    tree: () => tree ?? meter.read(pids()),
    supervisorBytes: () => own?.anonBytes ?? null,
    pssBytes: (pid) => meter.pssBytes(pid),
    stop() {
      clearImmediate(firstRound);
      clearInterval(rounds);
      clearTimeout(firstLook);
      clearInterval(refresh);
    },
  };
}

// --- internal ---

interface Reading {
  readonly memory: WorkerMemory;
  readonly at: number;
}

function keepOnly(known: Map<number, Reading>, workers: readonly Sampled[]): void {
  const live = new Set(workers.map(({ pid }) => pid));
  for (const pid of known.keys()) if (!live.has(pid)) known.delete(pid);
}

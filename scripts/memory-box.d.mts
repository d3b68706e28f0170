import type { MemoryCgroup } from '../src/metrics/cgroup.ts';

export interface MemoryBox {
  readonly version: 1 | 2;
  readonly enter: readonly string[];
  peakBytes(): number | null;
  oomKills(): number | null;
  close(): Promise<void>;
}

export function openMemoryBox(cgroup: MemoryCgroup | null, limitBytes: number): MemoryBox | null;

/** "A hello-world app should run on a 512 MiB box": with the kernel as the judge, where it may be. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const BOX = fileURLToPath(new URL('../../bench/box.mjs', import.meta.url));
const BOX_BYTES = 512 * 2 ** 20;
/** It takes 20 s on two idle cores. */
const TIMEOUT_MS = 120_000;

interface Result {
  /** Of the control group; null where none could be made. */
  readonly version: 1 | 2 | null;
  readonly budgetBytes: number;
  readonly budgetFrom: string;
  readonly ok: number;
  readonly failed: number;
  readonly backlog: number;
  readonly notes: readonly string[];
  readonly peakBytes: number;
  readonly oomKills: number | null;
  readonly recycles: Readonly<Record<string, number>>;
}

test(
  'four workers of Express, and two that leak more than the box holds, fit into 512 MiB',
  { timeout: TIMEOUT_MS },
  async () => {
    const options = { timeout: TIMEOUT_MS, killSignal: 'SIGTERM' } as const;
    const args = [BOX, '--quick', '--json', '--built'];
    const { stdout } = await promisify(execFile)(process.execPath, args, options);
    const results = JSON.parse(stdout) as Result[];
    expect(results.map(({ ok }) => ok)).toEqual([3_000, 3_750]);
    for (const result of results) {
      const { version, failed, backlog, notes } = result;
      expect({ failed, backlog, notes }).toEqual({ failed: 0, backlog: 0, notes: [] });
      expect(result.peakBytes).toBeGreaterThan(0);
      expect(result.peakBytes).toBeLessThan(BOX_BYTES);
      expect(result.oomKills ?? 0).toBe(0);
      // With default settings: the budget comes from the box.
      expect(result.budgetBytes).toBe(Math.floor(BOX_BYTES * 0.9));
      expect(result.budgetFrom).toBe(version === null ? 'flag' : `cgroup v${version}`);
    }
    expect(results[1]?.recycles['budget']).toBeGreaterThan(0);
  },
);

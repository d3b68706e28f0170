/** A worker that the kernel's OOM killer takes: told as such, with what to do about it. */
import { expect, test } from 'vitest';
import { openMemoryBox } from '../../scripts/memory-box.mjs';
import { findMemoryCgroup } from '../../src/metrics/cgroup.ts';
import { ECHO_APP, statusOf } from '../support/processes.ts';
import { serve } from '../support/serve.ts';

const MIB = 2 ** 20;
const BOX_BYTES = 384 * MIB;

test('is named, and the other worker serves on', { timeout: 60_000 }, async (context) => {
  const box = openMemoryBox(findMemoryCgroup(), BOX_BYTES);
  context.skip(box === null, 'no memory control group can be made here');
  try {
    // More at once than any sample could see coming.
    const pool = await serve([ECHO_APP, '--workers', '2', '--v8-flags', 'off'], {
      enter: box!.enter,
    });
    await pool.waitForTold('all_ready');
    const greedy = statusOf(`${pool.url}/leak?kb=${(2 * BOX_BYTES) / 1024}`);
    await expect(greedy).rejects.toThrow(/socket hang up|ECONNRESET/);
    await pool.waitForTold('worker_ready', 3);
    expect(pool.told('worker_crashed')).toMatchObject([
      {
        signal: 'SIGKILL',
        detail:
          "killed by the kernel's OOM killer: lower --max-memory or --workers, " +
          'or raise the memory limit',
      },
    ]);
    expect(await statusOf(pool.url)).toBe(200);
    expect(await pool.stop()).toEqual({ code: 0, signal: null });
  } finally {
    await box!.close();
  }
});

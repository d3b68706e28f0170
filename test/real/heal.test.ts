/** An idle worker gives the memory of its last burst back; bare Node keeps it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { startLoad } from '../../src/leak/load.ts';
import { readWorkerMemory } from '../../src/metrics/process-memory.ts';
import { readyPids, serve } from '../support/serve.ts';

const APP = 'test/apps/burst.cjs';
const MIB = 2 ** 20;
const REQUESTS = 500;
/** V8 may give memory back by itself: about one process in four did. */
const BARE_PROCESSES = 3;
/** Idle for 10 s, looked at each second, one worker after the other. */
const HEALED_WITHIN_MS = 60_000;

test.skipIf(!existsSync('/proc/self/status'))(
  'after a burst the tree is back near its floor within a minute, bare Node is not',
  { timeout: 150_000 },
  async () => {
    const bare = await Promise.all(Array.from({ length: BARE_PROCESSES }, startBare));
    const pool = await serve([APP, '--workers', '2']);
    const unhealed = await serve([APP, '--workers', '1', '--no-heal']);
    await pool.waitForTold('all_ready');
    await unhealed.waitForTold('all_ready');
    const pids = readyPids(pool);
    const floor = memoryOf(pids);
    await Promise.all([...bare, unhealed].map(({ url }) => burst(url, REQUESTS)));
    const barePeaks = bare.map(({ pid }) => memoryOf([pid]));
    await burst(pool.url, 2 * REQUESTS);
    const peak = memoryOf(pids);
    expect(peak).toBeGreaterThan(floor + 2 * 40 * MIB);

    // The kernel may have given every connection to one of them.
    const grown = pids.filter((pid) => memoryOf([pid]) > floor + 40 * MIB);
    await pool.waitForTold('healed', grown.length, HEALED_WITHIN_MS);
    expect(pool.told('recycle_started')).toEqual([]);
    expect(memoryOf(pids)).toBeLessThan(floor + (peak - floor) * 0.35);
    const kept = bare.map(({ pid }, index) => memoryOf([pid]) / (barePeaks[index] ?? 0));
    expect(Math.max(...kept)).toBeGreaterThan(0.8);
    expect(unhealed.told('healed')).toEqual([]);
    for (const { beforeBytes, afterBytes } of pool.told('healed')) {
      expect(afterBytes).toBeLessThan(beforeBytes);
    }
    // The app goes on as before, and what does not grow again is not asked again.
    expect((await fetch(pool.url)).status).toBe(200);
  },
);

// --- internal ---

function memoryOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (readWorkerMemory(pid)?.anonBytes ?? 0), 0);
}

async function burst(url: string, totalRequests: number): Promise<void> {
  const requests = [{ path: '/' }];
  const { ok } = await startLoad({ url, ratePerSecond: 100, totalRequests, requests }).finished;
  // It is about memory: on a busy machine some of them may be late.
  expect(ok).toBeGreaterThan(totalRequests / 2);
}

async function startBare(): Promise<{ readonly url: string; readonly pid: number }> {
  const child = spawn(process.execPath, [APP], {
    env: { ...process.env, PORT: '0', SAY_PORT: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill());
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { url: `http://127.0.0.1:${/\d+/.exec(String(line))?.[0]}`, pid: child.pid ?? 0 };
}

/** The signals that neither stop nor reload. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { waitUntil } from '../support/processes.ts';
import { serveEcho, statusOfPool, stopLoad } from '../support/serve.ts';

async function readySlots(pool: RunningCofferdam): Promise<number[]> {
  const { workers } = await statusOfPool(pool);
  return workers.filter(({ state }) => state === 'ready').map(({ slot }) => slot);
}

async function waitForSlots(pool: RunningCofferdam, slots: readonly number[]): Promise<void> {
  await waitUntil(`slots ${slots.join()}`, async () => {
    const { workers } = await statusOfPool(pool);
    const ready = workers.filter(({ state }) => state === 'ready').map(({ slot }) => slot);
    return workers.length === slots.length && ready.join() === slots.join();
  });
}

/** Local addresses (hex, with the port) on which the process's network listens. */
function listeningPorts(pid: number): number[] {
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === '0A')
      .map((fields) => Number.parseInt(fields[1]?.split(':').at(-1) ?? '', 16)),
  );
}

const INSPECTOR_PORT = 9229;

describe('signals', () => {
  test('TTIN and TTOU add and take away workers within their bounds, and lose nothing', async () => {
    const pool = await serveEcho(['--workers', '1..3']);
    const clients = startClients('agent', { url: pool.url });
    for (const slots of [
      [1, 2],
      [1, 2, 3],
    ]) {
      pool.signal('SIGTTIN');
      await waitForSlots(pool, slots);
    }
    pool.signal('SIGTTIN');
    // The answer to a question that was asked after the signal.
    expect(await readySlots(pool)).toEqual([1, 2, 3]);
    for (const slots of [[1, 2], [1]]) {
      pool.signal('SIGTTOU');
      await waitForSlots(pool, slots);
    }
    pool.signal('SIGTTOU');
    expect(await readySlots(pool)).toEqual([1]);
    await stopLoad(clients);
    expect(pool.told('scaled').map(({ from, to }) => [from, to])).toEqual([
      [1, 2],
      [2, 3],
      [3, 2],
      [2, 1],
    ]);
    expect((await statusOfPool(pool)).recycles.scale_down).toBe(2);
  });

  test('USR1 is said and opens no debugger; WINCH is nothing at all', async () => {
    const pool = await serveEcho(['--workers', '1']);
    await pool.waitForTold('floor_measured');
    const lines = pool.events.length;
    pool.signal('SIGWINCH');
    pool.signal('SIGUSR1');
    await pool.waitFor(/"event":"usr1".*nothing to reopen/);
    // Node opens its inspector in a thread of its own, a moment later.
    await sleep(500);
    expect(listeningPorts(pool.pid)).not.toContain(INSPECTOR_PORT);
    expect(pool.stderr).not.toMatch(/Debugger listening/);
    expect(pool.events.slice(lines).map(({ event }) => event)).toEqual(['usr1']);
    expect(await readySlots(pool)).toEqual([1]);
  });
});

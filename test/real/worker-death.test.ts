/** Promise 4 and "only the requests that it held may fail": how workers die, and what is told. */
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { isAlive, killOne, statusOf, waitUntil } from '../support/processes.ts';
import { faultSwitch } from '../support/scratch.ts';
import { connectionsByPid, readyPids, serveEcho, stopLoad } from '../support/serve.ts';
import { failureClasses, failuresOf, NO_FAILURES } from '../support/tally.ts';

interface Death {
  readonly name: string;
  /** Asked for on a connection of its own, or sent to one worker. */
  readonly by: `/${string}` | 'SIGKILL' | 'SIGTERM';
  readonly told: Readonly<Record<string, unknown>>;
}

const OOM_ARGS = ['--node-args=--max-old-space-size=40'];

const DEATHS: readonly Death[] = [
  {
    name: 'throws',
    by: '/crash',
    told: { code: 1, signal: null, detail: 'exited with code 1: Error: /crash was asked for' },
  },
  {
    name: 'exits with 0',
    by: '/exit',
    told: { code: 0, detail: expect.stringMatching(/^exited with code 0 by itself/) as string },
  },
  {
    name: 'runs out of heap',
    by: '/oom',
    told: {
      signal: 'SIGABRT',
      detail: expect.stringMatching(/^ran out of JavaScript heap: raise .*--max-memory/) as string,
    },
  },
  {
    name: 'is killed with -9',
    by: 'SIGKILL',
    told: { code: null, signal: 'SIGKILL', detail: 'killed with SIGKILL from outside' },
  },
  {
    name: 'gets a TERM that is not ours',
    by: 'SIGTERM',
    told: { code: null, signal: 'SIGTERM', detail: 'killed by SIGTERM' },
  },
];

const CLIENTS = 16;

/** Out of step with each other, so that no report finds all clients between two requests. */
const SLOW_PATHS = ['GET /slow?ms=310', 'GET /slow?ms=430', 'GET /slow?ms=590'];

/** Ends one worker (`pid`, or whichever gets the request); resolves when its death was told. */
async function die(pool: RunningCofferdam, death: Death, pid: number): Promise<void> {
  const { by } = death;
  if (by === 'SIGKILL' || by === 'SIGTERM') killOne(pid, by);
  else await expect(statusOf(pool.url + by)).rejects.toThrow();
  await pool.waitForTold('worker_crashed');
}

describe('a worker', () => {
  test.each(DEATHS)('$name: told with its cause, replaced at once', async (death) => {
    const pool = await serveEcho(OOM_ARGS);
    const clients = startClients(
      'raw',
      { url: pool.url },
      {
        clients: CLIENTS,
        thinkMs: 0,
        paths: SLOW_PATHS,
      },
    );
    const held = await connectionsByPid(pool, CLIENTS);
    const [busiest = 0] = [...held.keys()].sort((a, b) => (held.get(b) ?? 0) - (held.get(a) ?? 0));
    await die(pool, death, busiest);
    await pool.waitForTold('worker_ready', 3);
    const { ok } = clients.tally;
    await waitUntil('answers afterwards', () => clients.tally.ok > ok + CLIENTS);
    const tally = await clients.stop();

    const [crash] = pool.told('worker_crashed');
    expect(crash).toMatchObject({ ...death.told, generation: 1, retryInMs: 0 });
    const connections = held.get(crash?.pid ?? 0) ?? 0;
    // As its last report told: with a few, that may have come between their requests.
    if (connections >= CLIENTS / 2) expect(crash?.inFlight).toBeGreaterThan(0);
    expect(crash?.inFlight).toBeLessThanOrEqual(connections + 1);
    // Only what it held: each of its clients lost one request at most, and noticed at once.
    expect(failureClasses(tally)).toEqual({
      ...NO_FAILURES,
      reset: failuresOf(tally),
      notes: tally.notes,
    });
    expect(failuresOf(tally)).toBeLessThanOrEqual(connections);
    const all = [...held.values()].reduce((sum, each) => sum + each, 0);
    console.log(
      `A worker that ${death.name}: ${failuresOf(tally)} requests lost of the ${connections} ` +
        `connections that it held (of ${all}); ${tally.ok} answered.`,
    );
    expect(pool.told('worker_crashed')).toHaveLength(1);
    const survivor = readyPids(pool).find((pid) => pid !== crash?.pid);
    expect(isAlive(survivor ?? 0)).toBe(true);
  });

  test('that crashes again and again is held back, and the other one serves', async () => {
    const faults = faultSwitch();
    const pool = await serveEcho([], faults.env);
    faults.set({ EXIT_AFTER: 1, EXIT_CODE: 3 });
    const clients = startClients('agent-close', { url: pool.url }, { clients: 4 });
    killOne(readyPids(pool)[0] ?? 0);
    await pool.waitForTold('worker_crashed', 5);
    const crashes = pool.told('worker_crashed');
    const { slot } = crashes[0] ?? {};
    expect(crashes.every((crash) => crash.slot === slot)).toBe(true);
    expect(crashes[1]).toMatchObject({ code: 3 });
    const waits = crashes.map(({ retryInMs }) => retryInMs);
    expect(waits[0]).toBe(0);
    for (const [index, wait] of waits.slice(1).entries()) {
      expect(wait).toBeGreaterThanOrEqual(225 * 2 ** index);
      expect(wait).toBeLessThanOrEqual(275 * 2 ** index);
    }
    faults.set();
    const ready = readyPids(pool).length;
    await pool.waitForTold('worker_ready', ready + 1);
    const { refused, hung, timeout, ok } = await clients.stop();
    expect({ refused, hung, timeout }).toEqual({ refused: 0, hung: 0, timeout: 0 });
    expect(ok).toBeGreaterThan(20);
  });
});

describe('a worker that closes its channel', () => {
  test('finishes what it holds while its replacement starts', async () => {
    const faults = faultSwitch();
    faults.set({ DISCONNECT_IPC: 1500, KEEP_ALIVE_MS: 500 });
    const pool = await serveEcho(['--workers', '1'], faults.env);
    faults.set({ KEEP_ALIVE_MS: 500 });
    const [old] = readyPids(pool);
    const clients = startClients('raw', { url: pool.url });
    const slow = statusOf(`${pool.url}/slow?ms=4000`);
    await pool.waitForTold('worker_ready', 2);
    expect(isAlive(old ?? 0)).toBe(true);
    expect(await slow).toBe(200);
    await waitUntil('end of the old worker', () => !isAlive(old ?? 0));
    await stopLoad(clients);
    expect(pool.told('worker_crashed')).toMatchObject([
      { pid: old, detail: expect.stringMatching(/^closed its channel .* is replaced$/) as string },
    ]);
  });

  test('leaves at once when it holds nothing', async () => {
    const faults = faultSwitch();
    faults.set({ DISCONNECT_IPC: 500 });
    const pool = await serveEcho(['--workers', '1'], faults.env);
    faults.set();
    await pool.waitForTold('worker_ready', 2);
    const [crash] = pool.told('worker_crashed');
    expect(crash?.detail).toMatch(/process\.disconnect/);
    expect(await statusOf(pool.url)).toBe(200);
    expect(isAlive(crash?.pid ?? 0)).toBe(false);
  });
});

describe('a worker that is recycled', () => {
  test('and ignores TERM is killed after the kill timeout', async () => {
    const pool = await serveEcho(['--kill-timeout', '500ms'], { IGNORE_TERM: '1' });
    const clients = startClients('agent', { url: pool.url });
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled', 2);
    await stopLoad(clients);
    expect(pool.told('recycled').map(({ killed }) => killed)).toEqual([true, true]);
    expect(pool.told('worker_killed').map(({ why }) => why)).toEqual([
      'did not leave within 0.5s after SIGTERM',
      'did not leave within 0.5s after SIGTERM',
    ]);
    expect(pool.told('worker_crashed')).toEqual([]);
  });

  test('and calls process.exit on TERM loses nothing', async () => {
    const pool = await serveEcho([], { EXIT_ON_TERM: '1' });
    const clients = startClients('agent', { url: pool.url }, { paths: ['GET /slow?ms=20'] });
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled', 2);
    await stopLoad(clients);
    expect(pool.told('recycled').map(({ killed }) => killed)).toEqual([false, false]);
    expect(pool.told('worker_crashed')).toEqual([]);
  });
});

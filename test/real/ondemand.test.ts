/** A pool on demand: it sleeps and wakes as its clients come and go, and loses none of them. */
import { expect, test } from 'vitest';
import { startClients, type ClientKind } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { ask, connectTo } from '../support/inline-app.ts';
import { ECHO_APP, isAlive, waitUntil } from '../support/processes.ts';
import { failureClasses, NO_FAILURES } from '../support/tally.ts';
import { readyPids, serve, statusOfPool } from '../support/serve.ts';

const ONDEMAND = ['--strategy', 'ondemand', '--workers', '2', '--idle-timeout', '2s'];
/** Twenty in all, over four pools that sleep at the same time. */
const CYCLES = 5;
const CYCLES_MS = 150_000;
/** Per kind of client and cycle: enough for all of its connections. */
const ANSWERS = 12;
const CLIENTS = 6;

test('twenty sleeps lose nothing', { timeout: CYCLES_MS }, async () => {
  const kinds: readonly ClientKind[][] = [
    ['raw'],
    ['agent-close', 'undici'],
    ['https'],
    ['https-close'],
  ];
  await Promise.all(kinds.map(sleepAndWake));
});

test('an idle connection outlives the sleep of its worker, and is not cut', async () => {
  const pool = await serve([ECHO_APP, ...ONDEMAND], { env: { KEEP_ALIVE_MS: '20000' } });
  await pool.waitForTold('all_ready');
  const connection = await connectTo(pool);
  await ask(connection);
  await waitUntil('sleep', () => sleeps(pool) === 1);
  // A request may overtake the order to drain: what matters is that each is answered.
  await waitUntil('the last answer', async () => {
    connection.socket.write('GET /env HTTP/1.1\r\nhost: test\r\n\r\n');
    const { status, headers } = await connection.readAnswer();
    expect(status).toBe(200);
    return headers['connection'] === 'close';
  });
  await waitUntil('nobody', () => isEmpty(pool));
  // Asleep is neither broken nor unready, and a stop finds nobody to wait for.
  expect(await statusOfPool(pool)).toMatchObject({ state: 'running', workers: [] });
  expect(await pool.stop()).toMatchObject({ code: 0 });
});

// --- internal ---

function sleeps(pool: RunningCofferdam): number {
  return pool.told('scaled').filter(({ to }) => to === 0).length;
}

function isEmpty(pool: RunningCofferdam): boolean {
  return !readyPids(pool).some(isAlive);
}

async function sleepAndWake(kinds: readonly ClientKind[]): Promise<void> {
  const protocol = kinds[0]?.startsWith('https') ? 'https' : 'http';
  const env = { PROTOCOL: protocol, KEEP_ALIVE_MS: '1000' };
  const pool = await serve([ECHO_APP, ...ONDEMAND], { env });
  await pool.waitForTold('all_ready');
  for (let cycle = 1; cycle <= CYCLES; cycle += 1) {
    await waitUntil(`sleep ${cycle} of ${kinds.join()}`, () => sleeps(pool) >= cycle);
    // At the very moment in which it falls asleep, or when nobody is left.
    if (cycle % 2 === 0) await waitUntil(`nobody, for ${kinds.join()}`, () => isEmpty(pool));
    const runs = kinds.map((kind) => startClients(kind, { url: pool.url }, { clients: CLIENTS }));
    await waitUntil(`answers for ${kinds.join()}`, () =>
      runs.every(({ tally }) => tally.ok >= ANSWERS),
    );
    for (const run of runs) expect(failureClasses(await run.stop())).toEqual(NO_FAILURES);
  }
  expect(pool.told('worker_ready').length).toBeGreaterThanOrEqual(CYCLES);
}

/** The gateway's own process is a worker like any other: replaced under load, nobody notices. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { serve } from '../support/serve.ts';
import { startClients } from '../support/clients.ts';
import { APPS_FOLDER, ECHO_APP, killTree, waitUntil } from '../support/processes.ts';
import { recycleTimes, RECYCLE_TEST_MS } from '../support/recycling.ts';
import { scratchFolder } from '../support/scratch.ts';
import { failureClasses, NO_FAILURES } from '../support/tally.ts';
import { SETTINGS } from './harness.ts';

const RECYCLES = 6;

test('gateways are recycled without a loss', { timeout: RECYCLE_TEST_MS }, async () => {
  const socket = join(scratchFolder(), 'app.sock');
  const env = { ...process.env, UNIX_SOCKET: socket };
  const worker = spawn(process.execPath, [ECHO_APP], { env, stdio: 'ignore' });
  onTestFinished(() => killTree(worker.pid ?? 0));
  await waitUntil('the app listens', () => existsSync(socket));
  const pool = await serve([`${APPS_FOLDER}gateway.mjs`, '--workers', '2'], {
    env: { UNIX_SOCKET: socket, SETTINGS: JSON.stringify(SETTINGS) },
  });
  await pool.waitForTold('all_ready');
  const clients = [
    startClients('raw', pool, { clients: 8 }),
    startClients('undici', pool, { clients: 8 }),
  ];
  await recycleTimes(pool, RECYCLES);
  for (const each of clients) {
    const tally = await each.stop();
    expect(failureClasses(tally)).toEqual(NO_FAILURES);
    expect(tally.ok).toBeGreaterThan(100);
  }
});

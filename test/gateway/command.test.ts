/** Programs of the user's own behind the gateway, and what may happen to their instance. */
import { existsSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { workerFolderPath } from '../../src/config/paths.ts';
import { ECHO_APP, killOne, waitUntil } from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { serve, statusOfPool } from '../support/serve.ts';

const LIMIT = 60;
/** Those before the gateway is killed. */
const FIRST = 20;

const COMMAND = ['--', 'env', 'UNIX_SOCKET={socket}', process.execPath, ECHO_APP];

test('a second instance of the name leaves the sockets of the first alone', async () => {
  const pool = await serve(['--workers', '1', '--ops', 'off', ...COMMAND]);
  // The gateway's own, and that of the workers.
  await pool.waitForTold('all_ready', 2);
  const folder = workerFolderPath(pool.name, process.env);
  const sockets = readdirSync(folder);
  expect(sockets).toHaveLength(1);
  const second = await runCli(['serve', '--name', pool.name, '--port', '0', ...COMMAND]);
  expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining('COF_ALREADY_RUNNING') });
  expect(readdirSync(folder)).toEqual(sockets);
  await pool.stop();
  expect(existsSync(folder)).toBe(false);
});

test('the count of a worker outlives a killed gateway', async () => {
  const limit = ['--workers', '1', '--max-requests', String(LIMIT), '--jitter', '0'];
  const pool = await serve(['--ops', 'off', ...limit, ...COMMAND]);
  await pool.waitForTold('all_ready', 2);
  const answers = new Map<string, number>();
  const ask = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      const body = await (await fetch(`${pool.url}/`)).text();
      const pid = /worker=(\d+)/.exec(body)?.[1] ?? body;
      answers.set(pid, (answers.get(pid) ?? 0) + 1);
    }
  };
  await ask(FIRST);
  await waitUntil('the first are counted', async () => {
    return (await statusOfPool(pool)).workers[0]?.requests === FIRST;
  });
  const [gateway] = pool.told('worker_ready');
  killOne(gateway?.pid ?? 0);
  await pool.waitForTold('worker_ready', 3);
  await ask(LIMIT);
  expect(Math.max(...answers.values())).toBe(LIMIT);
});

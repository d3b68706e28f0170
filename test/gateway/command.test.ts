/** Programs of the user's own behind the gateway, and what may happen to their instance. */
import { existsSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { workerFolderPath } from '../../src/config/paths.ts';
import { ECHO_APP } from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { serve } from '../support/serve.ts';

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

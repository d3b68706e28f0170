/** `cofferdam recycle` of real workers that boot, crash or are scaled away meanwhile. */
import { expect, test } from 'vitest';
import type { Status } from '../../src/control/status.ts';
import { ECHO_APP, killOne, waitUntil } from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { faultSwitch } from '../support/scratch.ts';
import { serve, statusOfPool } from '../support/serve.ts';

test('who asks for a recycle never waits for ever', async () => {
  const faults = faultSwitch();
  faults.set({ BOOT_MS: 1500 });
  const pool = await serve([ECHO_APP, '--workers', '1..2', '--ops', 'off'], {
    env: faults.env,
  });
  const recycle = (...args: string[]) => runCli(['recycle', '--name', pool.name, ...args]);
  await waitUntil('it can be asked', async () => {
    const { code, stdout } = await runCli(['status', '--json', '--name', pool.name]);
    return code === 0 && (JSON.parse(stdout) as Status).workers.length === 1;
  });
  // Its worker still boots: it is replaced when it is ready.
  expect(await recycle('--json')).toMatchObject({ code: 0 });
  expect(pool.told('recycled').map(({ generation }) => generation)).toEqual([1]);

  expect(await runCli(['scale', '2', '--name', pool.name])).toMatchObject({ code: 0 });
  await pool.waitForTold('worker_ready', 3);

  faults.set({ BOOT_MS: 60_000 });
  const crashed = recycle('1');
  await pool.waitForTold('recycle_started', 2);
  const [first] = (await statusOfPool(pool)).workers;
  killOne(first?.pid ?? 0, 'SIGKILL');
  expect(await crashed).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('the worker of slot 1 crashed before it was replaced'),
  });

  const scaled = recycle('2');
  await waitUntil(
    'its replacement boots',
    async () => (await statusOfPool(pool)).workers.length === 3,
  );
  expect(await runCli(['scale', '1', '--name', pool.name])).toMatchObject({ code: 0 });
  expect(await scaled).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('slot 2 is gone: the pool was scaled to 1 worker'),
  });
});

/** A bench that is interrupted leaves neither processes nor folders. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { isAlive, killOne, waitUntil } from '../support/processes.ts';

const MODULE = new URL('../../bench/leave-nothing.mjs', import.meta.url).href;

/** One child, one daemon that left the tree long ago, one that was told about, and a folder. */
const BENCH = `
  import { spawn } from 'node:child_process';
  import { killAtExit, scratchFolder } from '${MODULE}';
  const sleeper = () => spawn('sleep', ['600'], { stdio: 'ignore' }).pid;
  const orphan = spawn('sh', ['-c', 'sleep 600 >/dev/null & echo $!']);
  orphan.stdout.once('data', (text) => {
    const daemon = Number(text);
    killAtExit(() => daemon);
    killAtExit(() => undefined)();
    console.log(JSON.stringify({ pids: [sleeper(), daemon], folder: scratchFolder() }));
  });
`;

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s', async (signal) => {
  const bench = spawn(process.execPath, ['--input-type=module', '-e', BENCH], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void bench.kill('SIGKILL'));
  const [line] = (await once(createInterface(bench.stdout), 'line')) as [string];
  const { pids, folder } = JSON.parse(line) as { pids: number[]; folder: string };
  onTestFinished(() => pids.forEach((pid) => killOne(pid)));
  expect(pids.every(isAlive)).toBe(true);
  expect(existsSync(folder)).toBe(true);
  bench.kill(signal);
  const [code] = (await once(bench, 'exit')) as [number];
  expect(code).toBeGreaterThan(128);
  await waitUntil('death of all', () => !pids.some(isAlive));
  expect(existsSync(folder)).toBe(false);
});

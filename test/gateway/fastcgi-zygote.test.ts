import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PID_SCRIPT } from '../../src/data/gateway/fastcgi/php-cgi.ts';
import { adoptChild, type ZygoteChild } from '../../src/data/gateway/fastcgi/zygote.ts';
import { isAlive, killOne, processesOf, waitUntil } from '../support/processes.ts';
import { get, needPhp, oneByOne, startPhp, upstreamOptions, type PhpProcess } from './php.ts';
import { serveVisits } from './visit.ts';

const TIMEOUT_MS = 2_000;

needPhp();

async function startZygote(children: number): Promise<{
  php: PhpProcess;
  lost: number[];
  condemned: Set<number>;
  adopt: (timeoutMs?: number) => Promise<ZygoteChild>;
}> {
  const php = await startPhp({ type: 'zygote', children });
  const pidScript = join(php.folder, 'pid.php');
  writeFileSync(pidScript, PID_SCRIPT);
  const lost: number[] = [];
  const condemned = new Set<number>();
  return {
    php,
    lost,
    condemned,
    async adopt(timeoutMs = TIMEOUT_MS) {
      const options = upstreamOptions(php.socketPath, []);
      const onLost = (pid: number): unknown => lost.push(pid);
      const child = await adoptChild({
        ...options,
        pidScript,
        onLost,
        timeoutMs,
        isCondemned: (pid) => condemned.has(pid),
      });
      onTestFinished(() => child.upstream.destroy());
      return child;
    },
  };
}

test('each connection is a child of its own, and stays it', async () => {
  const { php, adopt } = await startZygote(3);
  const children = [await adopt(), await adopt(), await adopt()];
  const pids = children.map(({ pid }) => pid);
  expect(new Set(pids).size).toBe(3);
  expect(new Set(processesOf(php.pid))).toEqual(new Set(pids));
  for (const { pid, upstream } of children) {
    const server = await serveVisits(oneByOne(upstream));
    for (let count = 0; count < 3; count += 1) {
      expect((await get(server, '/pid.php')).body).toBe(String(pid));
    }
  }
});

test('without a free child there is no worker, and it says so in time', async () => {
  const { adopt } = await startZygote(1);
  await adopt();
  await expect(adopt(200)).rejects.toThrow('no child was free in time');
});

test('a recycle: let go, TERM, and the parent has a fresh one', async () => {
  const { adopt, lost, condemned } = await startZygote(1);
  const child = await adopt();
  condemned.add(child.pid);
  child.upstream.release();
  await waitUntil('it is told', () => lost.length > 0);
  expect(lost).toEqual([child.pid]);
  killOne(child.pid, 'SIGTERM');
  const next = await adopt();
  expect(next.pid).not.toBe(child.pid);
  await waitUntil('the end of the old one', () => !isAlive(child.pid));
});

test('a child that is to end is not adopted again, however often it accepts', async () => {
  const { adopt, condemned } = await startZygote(1);
  const child = await adopt();
  condemned.add(child.pid);
  child.upstream.release();
  await expect(adopt(100)).rejects.toThrow('no child was free in time');
  condemned.clear();
  expect((await adopt()).pid).toBe(child.pid);
});

test('a lost connection is a lost worker: it is never opened again', async () => {
  const { adopt, lost } = await startZygote(1);
  const child = await adopt();
  const server = await serveVisits(oneByOne(child.upstream));
  killOne(child.pid);
  await waitUntil('it is told', () => lost.length > 0);
  await get(server, '/hello.php');
  expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'unsent' });
});

test('a script that cannot run tells no pid', async () => {
  const { php } = await startZygote(1);
  const options = { ...upstreamOptions(php.socketPath, []), timeoutMs: TIMEOUT_MS };
  const pidScript = join(php.folder, 'none.php');
  const adopted = adoptChild({
    ...options,
    pidScript,
    onLost: () => undefined,
    isCondemned: () => false,
  });
  await expect(adopted).rejects.toThrow('does not tell its pid');
});

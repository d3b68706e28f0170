/** Memory limits of a worker, read from outside it: soft and hard, and one that cannot hold. */
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { askOps, opsUrl, seriesOf } from '../support/ops.ts';
import { ECHO_APP, statusOf, waitUntil } from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { writeApp } from '../support/scratch.ts';
import { serve, serveEcho, statusOfPool, stopLoad } from '../support/serve.ts';

const MIB = 2 ** 20;

/** Few enough that their own garbage is small beside the limits. */
const LIGHT_LOAD = { clients: 4, thinkMs: 30, paths: ['GET /'] };

async function memoryOf(pool: RunningCofferdam): Promise<number> {
  await waitUntil('a sample', async () => (await statusOfPool(pool)).workers[0]?.memoryBytes !== 0);
  return (await statusOfPool(pool)).workers[0]?.memoryBytes ?? 0;
}

async function leak(pool: RunningCofferdam, bytes: number): Promise<void> {
  expect(await statusOf(`${pool.url}/leak?kb=${Math.round(bytes / 1024)}`)).toBe(200);
}

describe('max-memory', { timeout: 60_000 }, () => {
  test('hard: replaced at once, whatever its age, and nothing is lost', async () => {
    // Where it takes long to fill it is seen to grow, and the forecast would come first.
    const limits = ['--max-memory', '150MiB', '--no-predict', '--min-age', '60s'];
    const pool = await serveEcho(['--workers', '1', ...limits]);
    const clients = startClients('agent', { url: pool.url }, LIGHT_LOAD);
    await memoryOf(pool);
    await leak(pool, 200 * MIB);
    await pool.waitForTold('recycled');
    await waitUntil('answers afterwards', () => clients.tally.ok > 150);
    await stopLoad(clients);
    const [recycled] = pool.told('recycled');
    expect(recycled).toMatchObject({ reason: 'max_memory', limit: '150MiB', generation: 1 });
    // Later V8 may have given some of it back.
    const [started] = pool.told('recycle_started');
    expect(started?.memoryBytes).toBeGreaterThan(150 * MIB);
    expect(recycled?.ageMs).toBeLessThan(60_000);
    expect(pool.told('recycled')).toHaveLength(1);
    expect(await memoryOf(pool)).toBeLessThan(150 * MIB);
  });

  test('soft: replaced after three samples in a row, once it is past its warm-up', async () => {
    const limits = ['--max-memory', '300MiB', '--memory-soft', '50%', '--no-predict'];
    const pool = await serveEcho(['--workers', '1', ...limits]);
    const clients = startClients('agent', { url: pool.url }, LIGHT_LOAD);
    const floor = await memoryOf(pool);
    await leak(pool, 220 * MIB - floor);
    await pool.waitForTold('recycled');
    await stopLoad(clients);
    const [recycled] = pool.told('recycled');
    expect(recycled).toMatchObject({ reason: 'max_memory', limit: '150MiB', generation: 1 });
    // As it left, when V8 may have given some of it back.
    expect(recycled?.memoryBytes).toBeGreaterThan(100 * MIB);
    expect(recycled?.memoryBytes).toBeLessThan(300 * MIB);
    // The first strike is after the fifth second, and the third in another second than the first:
    // who reports late is also read out of turn.
    expect(recycled?.ageMs).toBeGreaterThanOrEqual(6000);
  });

  test('below what a fresh worker needs: said once, and no loop of recycles', async () => {
    const app = writeApp(`
      const kept = [Buffer.alloc(100 * ${MIB}, 1)];
      require('node:http').createServer((request, response) => {
        if (request.url === '/more') kept.push(Buffer.alloc(100 * ${MIB}, 1));
        response.end('served');
      }).listen(process.env.PORT, process.env.HOST);
    `);
    const ops = ['--ops', '127.0.0.1:0'];
    const pool = await serve([app, '--workers', '2', '--max-memory', '64MiB', ...ops]);
    await pool.waitForTold('all_ready');
    const samples = async (): Promise<number> => (await statusOfPool(pool)).uptimeMs;
    const since = await samples();
    await waitUntil('a few samples', async () => (await samples()) > since + 4000);
    const [told, ...more] = pool.told('floor_above_limit');
    expect(more).toEqual([]);
    expect(told?.memoryBytes).toBeGreaterThan(100 * MIB);
    expect(told?.limitBytes).toBeLessThanOrEqual(64 * MIB);
    expect(pool.told('recycle_started')).toEqual([]);
    const [status] = (await statusOfPool(pool)).pools;
    expect(status?.notes).toEqual([expect.stringMatching(/^floor above limit: /)]);
    const metrics = (await askOps(`${await opsUrl(pool)}/metrics`)).body;
    expect(seriesOf(metrics, 'cofferdam_floor_above_limit{pool="app"}')).toBe(1);
    // Growth still counts.
    expect(await statusOf(`${pool.url}/more`)).toBe(200);
    await pool.waitForTold('recycled');
    expect(pool.told('recycled')).toMatchObject([{ reason: 'max_memory' }]);
  });
});

test('without room for a surge worker the old one ends first, told, and nothing is lost', async () => {
  const app = writeApp(`
    globalThis.kept = Buffer.alloc(150 * ${MIB}, 1);
    require(${JSON.stringify(ECHO_APP)});
  `);
  // Two of 165 MiB and what stands beside them are 410, and a third one does not fit.
  const pool = await serve([app, '--workers', '2', '--memory-budget', '500MiB']);
  await pool.waitForTold('all_ready');
  await waitUntil('samples of both', async () =>
    (await statusOfPool(pool)).workers.every(({ memoryBytes }) => memoryBytes > 150 * MIB),
  );
  const clients = startClients('agent', { url: pool.url }, LIGHT_LOAD);
  expect((await runCli(['recycle', '--name', pool.name])).code).toBe(0);
  expect(pool.told('recycle_started')).toMatchObject([
    { slot: 1, breakFirst: true },
    { slot: 2, breakFirst: true },
  ]);
  expect(pool.told('over_budget')).toEqual([]);
  await stopLoad(clients);
});

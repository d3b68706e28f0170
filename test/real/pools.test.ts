/** Several pools in one instance: one supervisor, one budget, one pair of probes. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Status } from '../../src/control/status.ts';
import { startClients } from '../support/clients.ts';
import type { LogEvent } from '../support/cofferdam.ts';
import { askOps, seriesOf } from '../support/ops.ts';
import {
  servePools,
  servePoolsReady,
  withPorts,
  writePools,
  type Table,
} from '../support/pools.ts';
import { freePort, isAlive, statusOf, waitUntil } from '../support/processes.ts';
import { runCli, type CliRun } from '../support/run-cli.ts';
import { faultSwitch, scratchFolder, writeApp } from '../support/scratch.ts';
import { statusOfPool, stopLoad } from '../support/serve.ts';
import { findTool, lacks } from '../support/tools.ts';

const MIB = 2 ** 20;

/** Told of one pool. */
function of(pool: string, event: string): (each: LogEvent) => boolean {
  return (each) => each.event === event && each['pool'] === pool;
}

function tablesOf(file: string): Record<string, Table> {
  return (JSON.parse(readFileSync(file, 'utf8')) as { pools: Record<string, Table> }).pools;
}

describe('two apps that want one port', () => {
  test('are told apart: the second does not boot, and nothing is left of the first', async () => {
    const env = { HOST: '127.0.0.1', PORT_FIXED: String(await freePort()) };
    // No port that is ours to give: each app insists on its own.
    const app = { port: undefined, env };
    const { cofferdam } = await servePools({ web: app, api: app });
    expect(await cofferdam.exited).toEqual({ code: 4, signal: null });
    expect(cofferdam.stderr).toMatch(
      /of pool (?:web|api) does not boot: .*EADDRINUSE.*127\.0\.0\.1/,
    );
    expect(cofferdam.stderr).toContain('[COF_PORT_IN_USE]');
    expect(cofferdam.workers()).toEqual([]);
  });

  test('by their settings start nothing', async () => {
    const configFile = join(scratchFolder(), 'cofferdam.json');
    writePools(configFile, await withPorts({ web: { port: 4001 }, api: { port: 4001 } }));
    const refused = await runCli(['serve', '-c', configFile]);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('the pools web and api both ask for port 4001');
  });
});

describe('two pools', { timeout: 60_000 }, () => {
  test('are recycled, scaled and reloaded each by itself, without a loss in either', async () => {
    const { cofferdam, urls, ops, configFile } = await servePoolsReady({
      web: { workers: 2 },
      api: { workers: '1..3' },
    });
    const cli = (...args: string[]): Promise<CliRun> => runCli([...args, '--name', cofferdam.name]);
    const pidsOf = async (pool: string): Promise<number[]> =>
      (await statusOfPool(cofferdam)).workers
        .filter((worker) => worker.pool === pool && worker.state === 'ready')
        .map(({ pid }) => pid ?? 0);
    const clients = ['web', 'api'].map((pool) =>
      startClients('agent', { url: urls[pool]! }, { clients: 2 }),
    );
    const web = await pidsOf('web');
    expect(web).toHaveLength(2);

    const one = await cli('recycle', 'api/1');
    expect(one.stdout).toMatch(/^api\/1 replaced in \S+\n$/);
    expect((await cli('scale', 'api', '2')).stdout).toContain('From 1 to 2 workers');
    await waitUntil('a second worker', async () => (await pidsOf('api')).length === 2);
    const all = await cli('recycle', 'api');
    expect(all.stdout.split('\n').toSorted()).toEqual([
      '',
      expect.stringMatching(/^api\/1 /),
      expect.stringMatching(/^api\/2 /),
    ]);
    expect(await pidsOf('web')).toEqual(web);
    expect(cofferdam.events.filter(of('web', 'recycled'))).toEqual([]);

    const metrics = (await askOps(`${ops}/metrics`)).body;
    const count = (pool: string): number =>
      seriesOf(metrics, `cofferdam_recycles_total{pool="${pool}",reason="manual"}`);
    expect([count('web'), count('api')]).toEqual([0, 3]);
    expect(seriesOf(metrics, 'cofferdam_workers_wanted{pool="api"}')).toBe(2);

    // A limit of one pool is that pool's alone, though the new configuration is everybody's.
    const tables = tablesOf(configFile);
    writePools(configFile, { ...tables, api: { ...tables['api'], 'max-memory': '300MiB' } });
    expect((await cli('reload')).code).toBe(0);
    await waitUntil('the reload', () =>
      ['web', 'api'].every(
        (pool) => cofferdam.events.filter(of(pool, 'recycled')).length >= (pool === 'web' ? 2 : 5),
      ),
    );
    const { workers, state } = await statusOfPool(cofferdam);
    const limits = workers.map(({ pool, limitBytes }) => `${pool} ${limitBytes / MIB}`);
    expect([...new Set(limits)]).toEqual(['web 0', 'api 300']);
    expect(state).toBe('running');
    for (const each of clients) await stopLoad(each);
  });

  test('commands that could mean either are refused, and say how to choose', async () => {
    const { cofferdam } = await servePoolsReady({ web: { workers: 1 }, api: { workers: 1 } });
    const cli = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await runCli([...args, '--name', cofferdam.name]);
      return `${code} ${stderr}`;
    };
    expect(await cli('recycle', '1')).toContain(
      '2 cofferdam: slot 1 of which pool? Name it: web/1',
    );
    expect(await cli('recycle', 'ape/1')).toContain('there is no pool "ape"; there are web, api');
    expect(await cli('recycle', 'api/7')).toContain('there is no slot 7; the slots are 1');
    expect(await cli('scale', '2')).toContain('which pool? There are web, api');
    expect(await cli('scale', 'api', '2')).toContain('1 worker, no more and no less');
    // All of all pools: nothing to choose.
    expect((await runCli(['recycle', '--name', cofferdam.name])).stdout.split('\n')).toHaveLength(
      3,
    );
  });

  test('of other kinds fit into a budget in which Node workers alone would not', async () => {
    const server = writeApp(`
      require('node:http').createServer((request, response) => response.end('a program'))
        .listen(process.env.PORT, process.env.HOST);
    `);
    // With 32 MiB for every worker it would be refused: 5 x 32 + 25 are 185.
    const { cofferdam, urls } = await servePoolsReady(
      { web: { workers: 1 }, jobs: { workers: 3, command: [process.execPath, server] } },
      ['--memory-budget', '180MiB'],
    );
    expect(await (await fetch(urls['jobs']!)).text()).toBe('a program');
    expect(await statusOf(`${urls['web']}/`)).toBe(200);
    const { budget, workers } = await statusOfPool(cofferdam);
    expect(budget).toEqual({ bytes: 180 * MIB, origin: 'flag' });
    const ready = workers.filter(({ state }) => state === 'ready');
    expect(ready.map(({ pool }) => pool).sort()).toEqual(['jobs', 'jobs', 'jobs', 'web']);
  });

  test('have one budget: its numbers are sums, and who grows is replaced', async () => {
    const { cofferdam, urls, ops } = await servePoolsReady(
      { web: { workers: 1 }, api: { workers: 1 } },
      ['--memory-budget', '220MiB', '--min-age', '1s'],
    );
    // The file pages that all share come on top, and the samples are not of the same moment.
    await waitUntil('a sum of all samples', async () => {
      const { treeBytes, supervisorBytes, workers } = await statusOfPool(cofferdam);
      const sum = workers.reduce((total, { memoryBytes }) => total + memoryBytes, supervisorBytes);
      return workers.every(({ memoryBytes }) => memoryBytes > 0) && treeBytes > sum * 0.8;
    });
    const { budget } = await statusOfPool(cofferdam);
    expect(budget).toEqual({ bytes: 220 * MIB, origin: 'flag' });
    // Neither has a limit of its own, and neither could break this budget without the other.
    for (const pool of ['web', 'api']) await statusOf(`${urls[pool]}/leak?kb=${60 * 1024}`);
    await cofferdam.waitForTold('recycled');
    expect(cofferdam.told('recycled')[0]).toMatchObject({ reason: 'budget', generation: 1 });
    const metrics = (await askOps(`${ops}/metrics`)).body;
    expect(seriesOf(metrics, 'cofferdam_memory_budget_bytes')).toBe(220 * MIB);
  });

  test('are ready when both are, and red when one of them is', async () => {
    const faults = faultSwitch();
    const { cofferdam, urls, ops } = await servePoolsReady(
      { web: { workers: 1 }, api: { workers: 1, env: faults.env } },
      ['--boot-timeout', '5s'],
    );
    const ready = async (): Promise<number> => (await askOps(`${ops}/readyz`)).status;
    await waitUntil('ready', async () => (await ready()) === 200);
    faults.set({ FAIL_BOOT: 1 });
    await statusOf(`${urls['api']}/crash`).catch(() => 0);
    await waitUntil('red', async () => (await ready()) === 503);
    expect(await statusOf(`${urls['web']}/`)).toBe(200);
    expect((await askOps(`${ops}/livez`)).status).toBe(200);
    faults.set();
    await waitUntil('ready again', async () => (await ready()) === 200, 30_000);
    const { code } = await cofferdam.stop();
    expect(code).toBe(0);
  });

  test('take a reload back together when one of them cannot boot it', async () => {
    const { cofferdam, urls, configFile } = await servePoolsReady({
      web: { workers: 2 },
      api: { workers: 1 },
    });
    const clients = startClients('agent', { url: urls['web']! }, { clients: 2 });
    const tables = tablesOf(configFile);
    writePools(configFile, {
      web: { ...tables['web'], env: { COLOUR: 'blue' }, 'max-memory': '300MiB' },
      api: { ...tables['api'], env: { FAIL_BOOT: '1' } },
    });
    const { code, stderr } = await runCli(['reload', '--name', cofferdam.name]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /new configuration of (pool )?api does not serve, the old one goes on: /,
    );
    expect(stderr).toMatch(/\[COF_RELOAD_ROLLED_BACK\]/);
    const isBack = (pool: string): boolean => cofferdam.events.some(of(pool, 'reload_rolled_back'));
    await waitUntil('both have gone back', () => isBack('web') && isBack('api'));
    const fromWeb = cofferdam.events.find(of('web', 'reload_rolled_back'));
    expect(fromWeb?.['detail']).toMatch(/^pool api: .*FAIL_BOOT/);
    // Whoever served under the new one meanwhile has left again.
    const status = (): ReturnType<typeof statusOfPool> => statusOfPool(cofferdam);
    await waitUntil('rest', async () => (await status()).state === 'running');
    await waitUntil('the workers of before', async () =>
      (await status()).workers.every(({ state }) => state === 'ready'),
    );
    expect((await status()).workers.map(({ limitBytes }) => limitBytes)).toEqual([0, 0, 0]);
    for (const _ of [1, 2, 3, 4]) {
      const response = await fetch(`${urls['web']}/env`, { headers: { connection: 'close' } });
      const { env } = (await response.json()) as { env: Record<string, string> };
      expect(env['COLOUR']).toBeUndefined();
    }
    await stopLoad(clients);
    writePools(configFile, tables);
    expect((await runCli(['reload', '--name', cofferdam.name])).code).toBe(0);
  });

  test('where one never boots, all end, and its name is told', async () => {
    const { cofferdam } = await servePools({
      web: { workers: 1 },
      api: { workers: 1, env: { FAIL_BOOT: '1' } },
    });
    expect(await cofferdam.exited).toEqual({ code: 4, signal: null });
    expect(cofferdam.stderr).toMatch(/echo\.cjs of pool api does not boot: .*FAIL_BOOT/);
    expect(cofferdam.workers()).toEqual([]);
  });

  test('leave together, and finish what they have', async () => {
    const { cofferdam, urls, ops } = await servePoolsReady({
      web: { workers: 1 },
      api: { workers: 1, dispatch: 'gateway' },
    });
    const slow = Object.values(urls).map((url) => statusOf(`${url}/slow?ms=5000`));
    await waitUntil('both are at work', async () => {
      const { workers } = JSON.parse((await askOps(`${ops}/status`)).body) as Status;
      return workers.every(({ inFlight }) => inFlight > 0);
    });
    const pids = cofferdam.workers();
    const { code } = await cofferdam.stop();
    expect(await Promise.all(slow)).toEqual([200, 200]);
    expect(code).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    const stopping = cofferdam.events.filter(({ event }) => event === 'stopping');
    expect(new Set(stopping.map((event) => event['pool']))).toEqual(new Set(['api', 'web']));
  });

  test('that come or go with a reload wait for a restart', async () => {
    const { cofferdam, configFile, urls } = await servePoolsReady({
      web: { workers: 1 },
      api: { workers: 1 },
    });
    const { web, api } = tablesOf(configFile) as { web: Table; api: Table };
    const reload = async (pools: Record<string, Table>): Promise<CliRun> => {
      writePools(configFile, pools);
      return await runCli(['reload', '--name', cofferdam.name]);
    };
    const added = await reload({ web, api, jobs: { ...web, port: 1 } });
    expect(added).toMatchObject({ code: 0, stderr: 'Only a restart applies: pools.\n' });
    const removed = await reload({ web, jobs: { ...web, port: 1 } });
    expect(removed).toMatchObject({ code: 0, stderr: 'Only a restart applies: pools.\n' });
    const moved = await reload({ web: { ...web, port: 2 }, api });
    expect(moved).toMatchObject({ code: 0, stderr: 'Only a restart applies: port.\n' });
    expect(await Promise.all(Object.values(urls).map(statusOf))).toEqual([200, 200]);
  });
});

test.skipIf(lacks('promtool'))('promtool finds nothing to complain about', async () => {
  const { urls, ops } = await servePoolsReady({
    web: { workers: 1, 'health-path': '/env' },
    api: {
      workers: 1,
      dispatch: 'gateway',
      'health-path': '/env',
      'health-mode': 'reserved',
    },
  });
  await Promise.all(Object.values(urls).map(statusOf));
  const input = (await askOps(`${ops}/metrics`)).body;
  const { status, stdout, stderr } = spawnSync(findTool('promtool') ?? '', ['check', 'metrics'], {
    input,
    encoding: 'utf8',
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  // Both have that path: both are asked, once the worker that is kept for it has booted.
  await waitUntil('both answer', async () => (await askOps(`${ops}/env`)).status === 200);
  for (const pool of ['web', 'api', 'api-gateway']) {
    expect(seriesOf(input, `cofferdam_workers_wanted{pool="${pool}"}`)).toBe(1);
  }
});

/** What only children of one php-cgi have: a parent that can die, a gateway that can, things in common. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { describe, expect, test } from 'vitest';
import { needPhp } from '../gateway/php.ts';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { isAlive, killOne, processesOf, waitUntil } from '../support/processes.ts';
import { PHP_ECHO, phpPids, servePhp, waitForPhp, type PhpLayoutName } from '../support/php.ts';
import { runCli } from '../support/run-cli.ts';
import { scratchFolder } from '../support/scratch.ts';
import { serve, statusOfPool, stopLoad, workerEvents } from '../support/serve.ts';

needPhp();

const MIB = 2 ** 20;

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Of the workers that serve now, by what `status` says. */
async function servingPids(pool: RunningCofferdam): Promise<number[]> {
  const { workers } = await statusOfPool(pool);
  return workers.flatMap(({ state, pid }) => (state === 'ready' && pid !== null ? pid : []));
}

async function ask(pool: RunningCofferdam, path = '/'): Promise<{ status: number; text: string }> {
  const { statusCode, body } = await request(pool.url + path);
  return { status: statusCode, text: await body.text() };
}

test('workers are children of one php-cgi, and `status` knows their pids', async () => {
  const pool = await servePhp(['--workers', '3'], 'zygote');
  const pids = await servingPids(pool);
  expect(new Set(pids).size).toBe(3);
  expect(pids).toEqual(expect.arrayContaining(phpPids(pool)));
  const parents = new Set(pids.map(parentOf));
  expect(parents.size).toBe(1);
  const answers = await Promise.all(Array.from({ length: 9 }, () => ask(pool)));
  for (const { text } of answers) {
    expect(pids).toContain(Number(/worker=(\d+)/.exec(text)?.[1]));
  }
});

describe.each(['SIGSEGV', 'SIGKILL', 'SIGTERM'] as const)('a child that gets %s', (signal) => {
  test('takes its own request along at most; the others go on', async () => {
    const pool = await servePhp(['--workers', '3'], 'zygote');
    const [victim = 0, ...others] = await servingPids(pool);
    const clients = startClients('raw', pool, { clients: 3, paths: ['GET /slow?ms=20'] });
    await waitUntil('answers', () => clients.tally.ok > 20);
    killOne(victim, signal);
    await waitUntil('its successor', () => phpPids(pool).length === 4);
    const { ok } = clients.tally;
    await waitUntil('answers of all', () => clients.tally.ok > ok + 100);
    // A GET is asked again.
    await stopLoad(clients);
    expect(await servingPids(pool)).toEqual(expect.arrayContaining(others));
    await waitUntil('its end', () => !isAlive(victim));
  });
});

test('a parent that dies takes all along, and the next one has new workers', async () => {
  const pool = await servePhp([], 'zygote');
  const before = await servingPids(pool);
  const parent = parentOf(before[0] ?? 0);
  const family = [parent, ...processesOf(parent)];
  killOne(parent);
  await waitUntil('nobody left', () => !family.some(isAlive));
  await waitUntil('new workers', () => phpPids(pool).length === 4);
  expect((await ask(pool)).status).toBe(200);
  const after = await servingPids(pool);
  expect(after.map(parentOf)).not.toContain(parent);
  expect(String(workerEvents(pool, 'worker_crashed')[0]?.['detail'])).toMatch(
    /ended with its php-cgi parent, killed by SIGKILL/,
  );
});

test('a gateway that dies leaves the workers as they are: the next one finds each of them', async () => {
  const pool = await servePhp(['--workers', '3'], 'zygote');
  const before = await servingPids(pool);
  const [gateway] = pool.told('worker_ready').filter(({ pid }) => !before.includes(pid));
  killOne(gateway?.pid ?? 0);
  const gateways = (): number =>
    pool.events.filter((each) => each.event === 'worker_ready' && each['pool'] === 'gateway')
      .length;
  await waitUntil('the next gateway', () => gateways() === 2);
  const seen = new Set<number>();
  await waitUntil('all of them', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(pool)));
    for (const { text } of answers) seen.add(Number(/worker=(\d+)/.exec(text)?.[1]));
    return seen.size >= 3;
  });
  expect(seen).toEqual(new Set(before));
  expect(workerEvents(pool, 'worker_crashed')).toEqual([]);
});

describe('a reload', () => {
  test('starts a second parent beside the first, which then ends', async () => {
    const config = join(scratchFolder(), 'cofferdam.toml');
    writeFileSync(config, '');
    const pool = await servePhp(['--config', config], 'zygote');
    const [old = 0] = (await servingPids(pool)).map(parentOf);
    const clients = startClients('raw', pool, { clients: 4 });
    writeFileSync(config, '[php-ini]\n"default_mimetype" = "text/after"\n');
    pool.signal('SIGHUP');
    await waitUntil('two recycles', () => workerEvents(pool, 'recycled').length >= 2);
    await waitUntil('the end of the first', () => !isAlive(old), 30_000);
    await stopLoad(clients);
    expect(new Set((await servingPids(pool)).map(parentOf)).size).toBe(1);
  }, 60_000);

  test('changes the layout, there and back', async () => {
    const config = join(scratchFolder(), 'cofferdam.toml');
    writeFileSync(config, 'php-layout = "isolated"\n');
    const pool = await serve([PHP_ECHO, '--workers', '2', '--ops', 'off', '--config', config]);
    await waitForPhp(pool);
    const clients = startClients('raw', pool, { clients: 4 });
    for (const [layout, recycles] of [
      ['zygote', 2],
      ['isolated', 4],
    ] as const) {
      writeFileSync(config, `php-layout = "${layout}"\n`);
      pool.signal('SIGHUP');
      await waitUntil(layout, () => workerEvents(pool, 'recycled').length >= recycles);
      const parents = (await servingPids(pool)).map(parentOf);
      expect(parents.includes(pool.pid)).toBe(layout === 'isolated');
    }
    await stopLoad(clients);
  });
});

test('recycled by hand and by age, they come from the same parent', async () => {
  const pool = await servePhp(['--max-age', '3s', '--drain-timeout', '5s'], 'zygote');
  const [parent] = (await servingPids(pool)).map(parentOf);
  expect((await runCli(['recycle', '--name', pool.name])).code).toBe(0);
  await waitUntil('both reasons', () => {
    const reasons = workerEvents(pool, 'recycled').map(({ reason }) => reason);
    return reasons.includes('manual') && reasons.includes('max_age');
  });
  expect((await servingPids(pool)).map(parentOf)).toContain(parent);
});

test('a pool that falls asleep lets go of its parent, and wakes with another', async () => {
  const scaling = ['--strategy', 'ondemand', '--workers', '2', '--idle-timeout', '1s'];
  const pool = await servePhp(scaling, 'zygote');
  const [parent = 0] = (await servingPids(pool)).map(parentOf);
  await waitUntil('its end', () => !isAlive(parent), 30_000);
  expect((await ask(pool)).status).toBe(200);
  expect((await servingPids(pool)).map(parentOf)).not.toContain(parent);
}, 60_000);

test('what all share is counted once: a worker has what is its own', async () => {
  const pool = await servePhp(['--workers', '4'], 'zygote');
  const clients = startClients('raw', pool, { clients: 4, paths: ['GET /'] });
  await waitUntil('answers', () => clients.tally.ok > 200);
  await clients.stop();
  await waitUntil('samples', async () => {
    const { workers } = await statusOfPool(pool);
    return workers.every(({ memoryBytes, requests }) => memoryBytes > 0 && requests > 0);
  });
  const { workers } = await statusOfPool(pool);
  // Alone, php-cgi with this page has 10 MiB and more, opcache among them.
  for (const { memoryBytes } of workers) expect(memoryBytes).toBeLessThan(8 * MIB);
});

/** On two workers: a page of these lines, which says first who answers. */
async function serveLines(lines: string, layout: PhpLayoutName): Promise<RunningCofferdam> {
  const folder = scratchFolder();
  const script = join(folder, 'index.php');
  writeFileSync(script, `<?php\necho getmypid(), ' ';\n${lines}\n`);
  writeFileSync(join(folder, 'other.php'), '<?php\n');
  const config = join(folder, 'cofferdam.toml');
  // Else opcache leaves files alone that are as new as these.
  writeFileSync(config, '[php-ini]\n"opcache.file_update_protection" = 0\n');
  const args = ['--workers', '2', '--ops', 'off', '--php-layout', layout, '--config', config];
  const pool = await serve([script, ...args]);
  await waitForPhp(pool);
  return pool;
}

/** The answer of whoever does not answer the first request: each in its turn. */
async function askBoth(pool: RunningCofferdam, first: string): Promise<string> {
  const [one] = (await ask(pool, first)).text.split(' ');
  const [two, rest = ''] = (await ask(pool)).text.split(' ');
  expect(two).not.toBe(one);
  return rest;
}

test.each([
  ['isolated', ''],
  ['zygote', '1'],
] as const)('%s: what one worker has compiled, the other has: "%s"', async (layout, isThere) => {
  const lines =
    "$other = __DIR__ . '/other.php';\n" +
    "if (isset($_GET['load'])) include $other; else echo opcache_is_script_cached($other);";
  expect(await askBoth(await serveLines(lines, layout), '/?load=1')).toBe(isThere);
});

const hasApcu = /^apcu$/m.test(spawnSync('php-cgi', ['-m']).stdout?.toString() ?? '');
test.skipIf(!hasApcu)('what one keeps in APCu, all have', async () => {
  const lines =
    "if (isset($_GET['keep'])) apcu_store('x', $_GET['keep']); else echo apcu_fetch('x');";
  expect(await askBoth(await serveLines(lines, 'zygote'), '/?keep=dam')).toBe('dam');
});

test('a folder that open_basedir shuts is no hindrance if it is in the configuration', async () => {
  const config = join(scratchFolder(), 'cofferdam.toml');
  writeFileSync(config, `[php-ini]\nopen_basedir = "${process.cwd()}/test/apps"\n`);
  const pool = await servePhp(['--config', config], 'zygote');
  expect((await ask(pool)).status).toBe(200);
});

test('where a child may not tell its pid, that is said, with a way out', async () => {
  const config = join(scratchFolder(), 'cofferdam.toml');
  writeFileSync(config, `[php-ini]\ndisable_functions = "getmypid"\n`);
  const pool = await serve([PHP_ECHO, '--php-layout', 'zygote', '--config', config]);
  expect((await pool.exited).code).toBe(4);
  expect(pool.stderr).toMatch(/does not tell its pid[\s\S]*php-layout/);
});

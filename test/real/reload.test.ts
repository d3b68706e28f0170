/** A reload applies what is valid, to every worker, and loses nothing; what is not changes nothing. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startClients } from '../support/clients.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { answers, ECHO_APP, freePort } from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { scratchFolder } from '../support/scratch.ts';
import { readyPids, serve, statusOfPool, stopLoad } from '../support/serve.ts';

interface Env {
  readonly argv: readonly string[];
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

async function envOf(url: string): Promise<Env> {
  const response = await fetch(`${url}/env`, { headers: { connection: 'close' } });
  return (await response.json()) as Env;
}

/** A pool of two with a configuration file that the test may write anew. */
async function serveWithFile(text: string) {
  const file = join(scratchFolder(), 'cofferdam.toml');
  const write = (next: string): void => writeFileSync(file, next);
  write(text);
  const pool = await serve([ECHO_APP, '--workers', '2', '--config', file], {
    env: { KEEP_ALIVE_MS: '1000' },
  });
  await pool.waitForTold('all_ready');
  return { pool, write, file };
}

function reload(pool: RunningCofferdam) {
  return runCli(['reload', '--name', pool.name]);
}

describe('a reload', () => {
  test('by HUP gives new workers everything that is new, under load', async () => {
    const { pool, write } = await serveWithFile('[env]\nCOLOUR = "red"\n');
    expect((await envOf(pool.url)).env['COLOUR']).toBe('red');
    const clients = startClients('agent', { url: pool.url });
    write(`
      args = ["--flavour", "sweet"]
      node-args = ["--max-old-space-size=64"]
      max-memory = "300MiB"
      memory-budget = "2GiB"
      [env]
      COLOUR = "blue"
    `);
    pool.signal('SIGHUP');
    await pool.waitForTold('recycled', 2);
    await stopLoad(clients);
    for (const _ of [1, 2, 3, 4]) {
      const { env, argv, execArgv } = await envOf(pool.url);
      expect(env['COLOUR']).toBe('blue');
      expect(argv.slice(2)).toEqual(['--flavour', 'sweet']);
      expect(execArgv).toContain('--max-old-space-size=64');
    }
    const status = await statusOfPool(pool);
    expect(status.workers.map(({ limitBytes }) => limitBytes)).toEqual(
      Array(2).fill(300 * 2 ** 20),
    );
    expect(status.budget).toEqual({ bytes: 2 * 2 ** 30, origin: 'flag' });
    expect(status.state).toBe('running');
    expect(pool.told('recycled').map(({ reason }) => reason)).toEqual(['reload', 'reload']);
    expect(pool.events.some(({ event }) => event === 'reloading')).toBe(true);
  });

  test('changes the number of workers', async () => {
    const { pool, write } = await serveWithFile('');
    // The flag wins over the file: what a person typed stays.
    write('workers = 3\n');
    expect(await reload(pool)).toMatchObject({ code: 0 });
    await pool.waitForTold('recycled', 2);
    expect((await statusOfPool(pool)).workers).toHaveLength(2);
  });

  test.each([
    {
      name: 'a syntax error',
      text: 'env = [\n',
      message: /cofferdam\.toml:\d+:\d+/,
      advice: /Mend the file/,
      exit: 2,
    },
    {
      name: 'an unknown key',
      text: 'max-memori = "1GiB"\n',
      message: /there is no setting/,
      advice: /Did you mean max-memory/,
      exit: 2,
    },
    {
      name: 'a bad value',
      text: 'max-age = 5\n',
      message: /max-age must be/,
      advice: /"5s"/,
      exit: 2,
    },
    {
      name: 'a budget that cannot hold',
      text: 'memory-budget = "64MiB"\n',
      message: /below the least that this pool needs/,
      advice: /Raise the limit/,
      exit: 2,
    },
  ])(
    'of a file with $name changes nothing and says why',
    async ({ text, message, advice, exit }) => {
      const { pool, write } = await serveWithFile('[env]\nCOLOUR = "red"\n');
      const pids = readyPids(pool);
      write(text);
      const answer = await reload(pool);
      expect(answer.code).toBe(exit);
      expect(answer.stderr).toMatch(message);
      expect(answer.stderr).toMatch(advice);
      pool.signal('SIGHUP');
      await pool.waitFor(/"event":"reload_failed"(.|\n)*"event":"reload_failed"/);
      const failed = pool.events.filter(({ event }) => event === 'reload_failed');
      expect(failed[1]).toMatchObject({
        detail: expect.stringMatching(message) as string,
        hint: expect.stringMatching(advice) as string,
        running: 'the previous configuration',
      });
      expect((await envOf(pool.url)).env['COLOUR']).toBe('red');
      expect(readyPids(pool)).toEqual(pids);
      // Mended, the next one is as good as any.
      write('[env]\nCOLOUR = "blue"\n');
      expect(await reload(pool)).toMatchObject({ code: 0 });
      await pool.waitForTold('recycled', 2);
      expect((await envOf(pool.url)).env['COLOUR']).toBe('blue');
    },
  );

  test('names what only a restart applies, and applies the rest', async () => {
    const file = join(scratchFolder(), 'cofferdam.toml');
    const [port, other] = [await freePort(), await freePort()];
    writeFileSync(file, `port = ${port}\nhost = "127.0.0.1"\n`);
    const pool = await serve([ECHO_APP, '--workers', '2', '--config', file], { bare: true });
    await pool.waitForTold('all_ready');
    const { listen } = await statusOfPool(pool);
    expect(listen).toEqual([`http://127.0.0.1:${port}`]);
    writeFileSync(
      file,
      `port = ${other}\nhost = "127.0.0.1"\nquiet = true\n[env]\nCOLOUR = "blue"\n`,
    );
    const answer = await reload(pool);
    expect(answer.code).toBe(0);
    expect(answer.stderr).toMatch(/Only a restart applies: port, quiet\./);
    await pool.waitForTold('recycled', 2);
    expect(pool.events).toContainEqual(
      expect.objectContaining({ event: 'restart_needed', settings: 'port, quiet' }),
    );
    // The new workers, too, are on the old port and know no other.
    expect((await statusOfPool(pool)).listen).toEqual(listen);
    const { env } = await envOf(`http://127.0.0.1:${port}`);
    expect([env['PORT'], env['COLOUR']]).toEqual([String(port), 'blue']);
    expect(await answers(other)).toBe(false);
  });

  test('waits until all workers are replaced, unless told not to', async () => {
    const { pool, write } = await serveWithFile('');
    write('[env]\nCOLOUR = "blue"\n');
    const waited = await reload(pool);
    expect(waited).toMatchObject({ code: 0 });
    expect(waited.stdout).toMatch(/The new configuration serves: 2 workers replaced in \d/);
    expect(pool.told('reloaded')).toMatchObject([{ epoch: 1, workers: 2 }]);
    expect((await envOf(pool.url)).env['COLOUR']).toBe('blue');
    const asked = await runCli(['reload', '--no-wait', '--name', pool.name]);
    expect(asked.stdout).toMatch(/if its first worker serves, the others follow/);
    await pool.waitForTold('reloaded', 2);
  });

  test('to workers that cannot even be started never stops the old ones', async () => {
    const { pool, write } = await serveWithFile('');
    const pids = readyPids(pool);
    // Longer than the kernel takes for one variable: spawn throws E2BIG.
    write(`[env]\nBIG = "${'x'.repeat(200_000)}"\n`);
    const answer = await reload(pool);
    expect(answer).toMatchObject({ code: 1, stdout: '' });
    expect(answer.stderr).toMatch(/the old one goes on: .*could not be started: .*E2BIG/);
    expect(answer.stderr).toMatch(/\[COF_RELOAD_ROLLED_BACK\]/);
    expect(pool.told('reload_rolled_back')).toHaveLength(1);
    expect((await statusOfPool(pool)).workers.map(({ pid }) => pid)).toEqual(pids);
    write('');
    expect(await reload(pool)).toMatchObject({ code: 0 });
    expect(pool.told('recycled').map(({ reason }) => reason)).toContain('reload');
  });

  test('that fails leaves code and configuration of every slot as they were', async () => {
    const folder = scratchFolder();
    const [app, file] = [join(folder, 'app.cjs'), join(folder, 'cofferdam.toml')];
    writeFileSync(
      app,
      `if (process.env.COLOUR === 'blue') setTimeout(() => process.exit(3), 1500);
       else require('node:http').createServer((_, response) => {
         response.end(process.env.COLOUR);
       }).listen(process.env.PORT);`,
    );
    writeFileSync(file, '[env]\nCOLOUR = "red"\n');
    const pool = await serve([app, '--workers', '2', '--config', file]);
    await pool.waitForTold('all_ready');
    writeFileSync(file, '[env]\nCOLOUR = "blue"\n');
    const answer = reload(pool);
    await pool.waitForTold('recycle_started');
    // It crashes while the canary boots, and again when the reload was taken back.
    const [, second] = readyPids(pool);
    process.kill(second ?? 0, 'SIGKILL');
    await pool.waitForTold('worker_ready', 3);
    expect((await answer).code).toBe(1);
    process.kill(readyPids(pool)[2] ?? 0, 'SIGKILL');
    await pool.waitForTold('worker_ready', 4);
    for (const _ of [1, 2, 3, 4]) {
      const response = await fetch(pool.url, { headers: { connection: 'close' } });
      expect(await response.text()).toBe('red');
    }
    expect((await statusOfPool(pool)).state).toBe('running');
  });
});

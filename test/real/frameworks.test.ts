/**
 * Real frameworks, recycled under load. Next.js takes a minute to install and build, so it runs
 * only with TEST_NEXT=1 (not COFFERDAM_…: the server would take it for a misspelt setting).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { openConnection } from '../support/http1-connection.ts';
import { serve } from '../support/serve.ts';

const RECYCLES = 8;
const CLIENTS = 12;
const TEST_MS = 120_000;
const NEXT_TEST_MS = 400_000;

/** Keep-alive clients until `over`; what they lost. */
async function askUntil(pool: RunningCofferdam, over: AbortSignal) {
  const result = { answered: 0, lost: [] as string[] };
  const client = async (): Promise<void> => {
    let connection = openConnection({ url: pool.url });
    while (!over.aborted) {
      if (!connection.usable) connection = openConnection({ url: pool.url });
      connection.socket.write('GET / HTTP/1.1\r\nhost: test\r\n\r\n');
      try {
        const { status } = await connection.readAnswer();
        if (status === 200) result.answered += 1;
        else result.lost.push(`status ${status}`);
      } catch (error) {
        result.lost.push(String(error));
      }
      await sleep(Math.random() * 20);
    }
    connection.socket.destroy();
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return result;
}

async function expectNothingLostBy(app: string): Promise<void> {
  const pool = await serve([app, '--workers', '2'], { env: { NODE_ENV: 'production' } });
  await pool.waitForTold('all_ready');
  const over = new AbortController();
  const asking = askUntil(pool, over.signal);
  for (let count = 0; count < RECYCLES; count += 2) {
    pool.signal('SIGUSR2');
    await pool.waitForTold('recycled', count + 2, TEST_MS);
  }
  over.abort();
  const { answered, lost } = await asking;
  expect(lost).toEqual([]);
  expect(answered).toBeGreaterThan(CLIENTS);
  expect(pool.told('worker_crashed')).toEqual([]);
  expect((await pool.stop()).code).toBe(0);
}

test.each(['express.cjs', 'fastify.cjs', 'koa.cjs', 'hono.mjs', 'esm.mjs'])(
  '%s loses nothing in a recycle',
  (name) => expectNothingLostBy(fileURLToPath(new URL(`../apps/${name}`, import.meta.url))),
  TEST_MS,
);

test.runIf(process.env['TEST_NEXT'] === '1')(
  'Next.js, standalone, loses nothing in a recycle',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cofferdam-next-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    mkdirSync(join(folder, 'app'));
    const files = {
      'package.json': '{"private":true,"dependencies":{"next":"16","react":"19","react-dom":"19"}}',
      'next.config.mjs': `export default { output: 'standalone', outputFileTracingRoot: '${folder}' };`,
      'app/layout.js': 'export default ({ children }) => <html><body>{children}</body></html>;',
      'app/page.js': `export const dynamic = 'force-dynamic';
        export default async () => <p>{process.pid}</p>;`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const options = { cwd: folder, env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1' } };
    execFileSync('npm', ['install', '--no-audit', '--no-fund'], options);
    execFileSync('npx', ['next', 'build'], options);
    await expectNothingLostBy(join(folder, '.next/standalone/server.js'));
  },
  NEXT_TEST_MS,
);

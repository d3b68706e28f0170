/** Real apps of every make, unmodified: recycled under load, and nothing is lost. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { Harness } from './harness.ts';
import { appPath, portOf, startHarness, waitFor, waitForOutput } from './harness.ts';
import { type Kind, openLine, startLoad, head } from './load.ts';

const DRAINS = 4;

/** These frameworks answer before the body has come only if asked to in their own way. */
const COMMON: readonly Kind[] = ['simple', 'split', 'pipelined', 'slowBody', 'chunked', 'fresh'];

const stripsTypes = !spawnSync(process.execPath, [
  '-e',
  'process.exit(+!process.features.typescript)',
]).status;

let harness: Harness;

afterEach(async () => {
  await harness.stop();
});

describe.skipIf(!existsSync(appPath('node_modules')))('recycled under load', () => {
  test.each(['express.cjs', 'fastify.cjs', 'koa.cjs', 'hono.mjs', 'esm.mjs'])('%s', recycle);

  test.skipIf(!stripsTypes)('typescript.ts', async () => {
    await recycle('typescript.ts');
  });
});

test('children of the app know nothing of us', async () => {
  harness = startHarness({ app: appPath('children.cjs') });
  const worker = await harness.start();
  // It can still talk to whoever started it, and hears nothing that is ours.
  await waitForOutput(worker, 'parent got hello from the child');
  // Three processes and threads write; what one of them said may come after what another did.
  for (const who of ['child', 'thread']) await waitForOutput(worker, `${who} {`);
  const { text } = worker.output;
  expect(text).toMatch(/^app .*"variable":null,"execArgv":\[\],/m);
  for (const who of ['child', 'thread']) {
    expect(text).toContain(`${who} {"variable":null,"execArgv":[],"loaded":false}`);
  }
  harness.send(worker, { type: 'cut', scope: 'all' });
  await harness.drain(worker);
  expect(text).not.toContain('message ');
});

test('a script that ends, ends', async () => {
  harness = startHarness({ app: appPath('ends.cjs') });
  const worker = harness.spawn();
  await expect(waitFor(worker, () => false)).rejects.toThrow('the worker is gone');
  expect(worker.process.exitCode).toBe(0);
  expect(worker.messages.map(({ type }) => type)).toEqual(['hello']);
});

test('an app that uses cluster itself works', async () => {
  harness = startHarness({ app: appPath('cluster.cjs') });
  await harness.start();
  const line = await openLine({ port: portOf(harness) });
  line.socket.write(head('GET', '/'));
  expect((await line.ask()).status).toBe(200);
  line.socket.destroy();
});

// --- internal ---

async function recycle(name: string): Promise<void> {
  harness = startHarness({ app: appPath(name) });
  let worker = await harness.start();
  const load = startLoad({ port: portOf(harness) }, COMMON, 1);
  let moved = 0;
  for (let i = 0; i < DRAINS; i++) {
    const next = await harness.start();
    moved += (await harness.drain(worker)).moved;
    worker = next;
  }
  const { failed, hung, mismatched, pids } = await load.stop();
  expect({ failed, hung, mismatched }).toEqual({ failed: [], hung: [], mismatched: [] });
  expect(pids.size).toBeGreaterThan(1);
  expect(moved).toBeGreaterThan(0);
}

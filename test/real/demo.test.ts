/** `npm start` is the first thing that anybody sees: it has to end well, and at any moment. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { isAlive, killTree, processesOf, waitForExit, waitUntil } from '../support/processes.ts';

const DEMO = fileURLToPath(new URL('../../scripts/demo.mjs', import.meta.url));
/** The first run on a fresh clone installs the example's packages. */
const TIMEOUT_MS = 90_000;

let child: ChildProcess | undefined;

afterEach(async () => {
  if (child?.pid !== undefined) await killTree(child.pid);
});

test(
  'runs for so many seconds, loses nothing, leaves nothing',
  { timeout: TIMEOUT_MS },
  async () => {
    const demo = startDemo('3');
    await waitUntil('the load', () => demo.output().includes('budget'), TIMEOUT_MS);
    expect((await waitForExit(demo.child)).code).toBe(0);
    expect(demo.output()).toMatch(/served +450 requests/);
    expect(demo.output()).toMatch(/failed +0\n/);
    expect(demo.output()).toContain('Not one request was lost');
    expect(demo.seen().filter(isAlive)).toEqual([]);
  },
);

test('Ctrl-C ends it with the summary so far', { timeout: TIMEOUT_MS }, async () => {
  const demo = startDemo('600');
  await waitUntil('status lines', () => demo.output().includes(' served '), TIMEOUT_MS);
  demo.child.kill('SIGINT');
  expect((await waitForExit(demo.child)).code).toBe(0);
  expect(demo.output()).toContain('Not one request was lost');
  expect(demo.seen().length).toBeGreaterThanOrEqual(3);
  expect(demo.seen().filter(isAlive)).toEqual([]);
});

test('a senseless duration is refused at once', async () => {
  const demo = startDemo('soon');
  expect((await waitForExit(demo.child)).code).toBe(1);
  expect(demo.output()).toContain('DEMO_SECONDS');
});

// --- internal ---

function startDemo(seconds: string): {
  child: ChildProcess;
  output(): string;
  /** All processes that were seen below it while it ran. */
  seen(): number[];
} {
  const running = spawn(process.execPath, [DEMO], {
    env: { ...process.env, DEMO_SECONDS: seconds },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child = running;
  const seen = new Set<number>();
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
    for (const pid of processesOf(running.pid ?? 0)) seen.add(pid);
  };
  running.stdout.on('data', collect);
  running.stderr.on('data', collect);
  return { child: running, output: () => output, seen: () => [...seen] };
}

import { afterEach, describe, expect, test } from 'vitest';
import type { DrainResult } from '../../src/protocol.ts';
import type { Harness, HarnessOptions, Worker } from './harness.ts';
import { appPath, portOf, startHarness } from './harness.ts';
import { startHttp2Load } from './load-http2.ts';
import { KINDS, startLoad, type Tally, type Target } from './load.ts';

/** Twenty drains of a loaded box, and one boot for each. */
const TIMEOUT_MS = 60_000;
const DRAINS = 20;

let harness: Harness;

afterEach(async () => {
  await harness.stop();
});

describe('HTTP/1.1 under load, recycled', () => {
  test('hand-over loses nothing', { timeout: TIMEOUT_MS }, async () => {
    const { tally, moved } = await recycleHttp1({ app: appPath('http.cjs') });
    expectNothingLost(tally);
    expect(moved).toBeGreaterThan(DRAINS);
    expect(harness.orphaned.count).toBe(0);
  });

  test('without hand-over nothing is lost either', { timeout: TIMEOUT_MS }, async () => {
    const options = { app: appPath('http.cjs'), brief: { handover: false } };
    const { tally, moved } = await recycleHttp1(options);
    expectNothingLost(tally);
    expect(moved).toBe(0);
  });

  test('a hand-over that fails costs nothing', { timeout: TIMEOUT_MS }, async () => {
    const nodeArgs = ['--require', appPath('break-send.cjs')];
    const { tally, moved } = await recycleHttp1({ app: appPath('http.cjs'), nodeArgs });
    expectNothingLost(tally);
    expect(moved).toBe(0);
  });

  test('over TLS', { timeout: TIMEOUT_MS }, async () => {
    const { tally, moved } = await recycleHttp1({ app: appPath('https.cjs') }, { tls: true });
    expectNothingLost(tally);
    expect(moved).toBe(0);
  });

  test('over a unix socket', { timeout: TIMEOUT_MS }, async () => {
    const path = `/tmp/cofferdam-drain-${process.pid}.sock`;
    const options = { app: appPath('unix.cjs'), env: { SOCKET: path } };
    const { tally, moved } = await recycleHttp1(options, { path });
    expectNothingLost(tally);
    expect(moved).toBeGreaterThan(DRAINS);
  });
});

describe('HTTP/2 under load, recycled', () => {
  test.each([
    ['compat', 'https'],
    ['stream', 'https'],
    ['clear', 'http'],
  ])('%s API', { timeout: TIMEOUT_MS }, async (mode, protocol) => {
    harness = startHarness({ app: appPath('http2.cjs'), env: { API: mode } });
    const first = await harness.start();
    const load = startHttp2Load(`${protocol}://127.0.0.1:${portOf(harness)}`);
    await recycle(first);
    const tally = await load.stop();
    tell({ mode, ...tally, pids: tally.pids.size });
    expect(tally.failed).toEqual([]);
    expect(tally.hung).toEqual([]);
    expect(tally.mismatched).toEqual([]);
    // nghttp2 refuses by itself what its own client had queued when the GOAWAY came: few, never sent.
    expect(tally.refused).toBeLessThan(tally.answered / 50);
    expect(tally.goaways).toBeGreaterThan(DRAINS);
    expect(tally.pids.size).toBeGreaterThan(DRAINS / 2);
  });

  test('HTTP/1.1 on the port of an HTTP/2 server', { timeout: TIMEOUT_MS }, async () => {
    const { tally } = await recycleHttp1({ app: appPath('http2.cjs') }, { tls: true });
    expectNothingLost(tally);
  });
});

// --- internal ---

async function recycleHttp1(
  options: HarnessOptions,
  target: { tls?: boolean; path?: string } = {},
): Promise<{ tally: Tally; moved: number }> {
  harness = startHarness(options);
  const first = await harness.start();
  const { path, tls = false } = target;
  const where: Target = path === undefined ? { port: portOf(harness), tls } : { path };
  const load = startLoad(where, KINDS);
  const results = await recycle(first);
  const tally = await load.stop();
  const { answered, leftOver, pids } = tally;
  const moved = results.reduce((sum, result) => sum + result.moved, 0);
  tell({ answered, leftOver, pids: pids.size, moved });
  return { tally, moved };
}

/** Replaces the only worker again and again. */
async function recycle(first: Worker): Promise<DrainResult[]> {
  const results: DrainResult[] = [];
  const times: number[] = [];
  let worker = first;
  for (let i = 0; i < DRAINS; i++) {
    const next = await harness.start();
    const begin = performance.now();
    const result = await harness.drain(worker);
    times.push(Math.round(performance.now() - begin));
    expect(result).toMatchObject({ cutRequests: 0, cutLongLived: 0 });
    results.push(result);
    worker = next;
  }
  tell({ drainsMs: times.join(' ') });
  return results;
}

function expectNothingLost(tally: Tally): void {
  expect(tally.failed).toEqual([]);
  expect(tally.hung).toEqual([]);
  expect(tally.mismatched).toEqual([]);
  // Pipelined requests come together, so the last of them can be made the connection's last.
  expect(tally.leftOver).toBe(0);
  // Each worker took its part, so each drain had something to lose.
  expect(tally.pids.size).toBeGreaterThan(DRAINS / 2);
}

/** The numbers, for whoever asks: `TELL=1 npx vitest run test/agent`. */
function tell(numbers: object): void {
  if (process.env['TELL']) console.log(process.version, numbers);
}

/** What one worker can do to all others and to the supervisor: end itself, and no more. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { Status } from '../../src/control/status.ts';
import { MESSAGE_COMMAND as cmd } from '../../src/protocol.ts';
import { CLI, type RunningCofferdam, type SpawnOptions } from '../support/cofferdam.ts';
import { opsUrl } from '../support/ops.ts';
import {
  APPS_FOLDER,
  ECHO_APP,
  isAlive,
  killOne,
  killTree,
  waitUntil,
} from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { scratchFolder } from '../support/scratch.ts';
import { readyPids, serve, statusOfPool } from '../support/serve.ts';

const BAD_APP = join(APPS_FOLDER, 'bad.cjs');

async function serveBad(
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<RunningCofferdam> {
  const pool = await serve([BAD_APP, '--workers', '2', '--ops', 'off', ...args], options);
  await pool.waitForTold('all_ready');
  return pool;
}

async function get(pool: RunningCofferdam, path: string): Promise<string> {
  const answer = await fetch(`${pool.url}${path}`, { headers: { connection: 'close' } });
  return answer.text();
}

function privateMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

const REPORT = {
  requests: 1,
  inFlight: 0,
  longLived: 0,
  connections: 0,
  heapUsedBytes: 1,
  eventLoopUtilization: 0,
};
const MEASURES = {
  answers: [0, 0, 0, 0, 0, 0],
  durations: Array.from({ length: 15 }, () => 0),
  durationSumMs: 0,
  minorGcMs: 0,
  majorGcMs: 0,
  externalBytes: 0,
  eventLoopLagMs: 0,
};
const unix = { kind: 'unix', path: './a-file' };

/** Each is ignored, and told of. */
const FORGED: readonly object[] = [
  {},
  { type: null },
  { type: '__proto__' },
  { type: 'constructor' },
  { type: 'toString' },
  { type: 'hello' },
  { type: 'report' },
  { type: 'report', report: null, measures: null },
  { type: 'report', report: {}, measures: {} },
  { type: 'report', report: { ...REPORT, requests: -1e9 }, measures: MEASURES },
  { type: 'report', report: { ...REPORT, requests: 'a' }, measures: MEASURES },
  { type: 'report', report: { ...REPORT, inFlight: 1e308 }, measures: MEASURES },
  { type: 'report', report: REPORT, measures: { ...MEASURES, answers: [1, 2] } },
  { type: 'report', report: REPORT, measures: { ...MEASURES, durations: 5 } },
  { type: 'report', report: REPORT, measures: { ...MEASURES, eventLoopLagMs: 'x' } },
  { type: 'listening' },
  { type: 'listening', key: 'tcp:*:1#1', address: null, inherited: false },
  { type: 'listening', key: 5, address: unix, inherited: true, scheme: 'http', secure: false },
  { type: 'listening', key: 'x', address: unix, inherited: true, scheme: 'gopher', secure: false },
  { type: 'listen_failed' },
  { type: 'warm' },
  { type: 'warm', status: 500, message: { a: 1 } },
  { type: 'connection' },
  { type: 'adopted' },
  { type: 'answer' },
  { type: 'answer', id: 1, status: 200, kind: 'x', body: '', pad: 70_000 },
  { type: 'healed' },
  { type: 'slow' },
  { type: 'slow', method: 1, target: null, script: {}, tookMs: 'x' },
  { type: 'overdue' },
  { type: 'drained' },
  { type: 'drained', result: null },
  { type: 'drained', result: {} },
];

/** Well formed, and not what happened: at worst the end of that worker. */
const LIES: readonly object[] = [
  { type: 'connection', key: 'tcp:*:1#1', id: 1, fresh: true },
  { type: 'adopted', id: 5, ok: true },
  { type: 'answer', id: 77, status: 200, kind: '', body: '' },
  { type: 'healed', tookMs: 1 },
  { type: 'warm', status: 200, message: '' },
  { type: 'slow', method: 'GET', target: '/', script: null, tookMs: 1 },
  {
    type: 'listening',
    key: 'unix:/x#1',
    address: unix,
    inherited: true,
    scheme: 'http',
    secure: false,
  },
  { type: 'listen_failed', key: 'tcp:*:1#1', code: 'EADDRINUSE', message: 'a lie' },
  { type: 'drained', result: { moved: 1, cutRequests: 0, cutLongLived: 0 } },
  { type: 'overdue', method: 'GET', target: '/', script: null, tookMs: 1 },
];

async function expectServing(pool: RunningCofferdam): Promise<void> {
  expect(isAlive(pool.pid)).toBe(true);
  await waitUntil('both workers serve', async () => {
    const { workers } = await statusOfPool(pool);
    return workers.filter(({ state }) => state === 'ready').length === 2;
  });
  expect(await get(pool, '/')).toMatch(/^\d+$/);
}

test('messages that no agent sends are ignored, and told of once a worker', async () => {
  const pool = await serveBad();
  for (const message of FORGED) {
    const text = encodeURIComponent(JSON.stringify({ ...message, cmd }));
    expect(await get(pool, `/send?m=${text}`)).toMatch(/^\d+$/);
  }
  await expectServing(pool);
  await waitUntil('it is told', () =>
    pool.events.some(({ event }) => event === 'worker_message_invalid'),
  );
  const told = pool.events.filter(({ event }) => event === 'worker_message_invalid');
  expect(told.length).toBeLessThanOrEqual(2);
  expect(told[0]).toMatchObject({
    ended: false,
    slot: expect.any(Number),
    pid: expect.any(Number),
  });
  expect(readyPids(pool)).toHaveLength(2);
});

test('well-formed lies end at most their worker', async () => {
  const pool = await serveBad();
  for (const message of LIES) {
    const text = encodeURIComponent(JSON.stringify({ ...message, cmd }));
    await get(pool, `/send?m=${text}`);
    await sleep(50);
    expect([message, isAlive(pool.pid)]).toEqual([message, true]);
  }
  await expectServing(pool);
});

test.each([
  ['a line that is no JSON', '/raw?text=garbage%0A'],
  [
    'a handle of no kind',
    `/raw?text=${encodeURIComponent('{"cmd":"NODE_HANDLE","type":"nothing"}\n')}`,
  ],
])('%s ends its worker, which is replaced', async (_, path) => {
  const pool = await serveBad();
  // Its own answer may be lost with it.
  await get(pool, path).catch(() => '');
  await waitUntil('it is replaced', () => readyPids(pool).length === 3);
  expect(readyPids(pool).filter(isAlive)).toHaveLength(2);
  await expectServing(pool);
});

test('a message without end costs no more than its bound', async () => {
  const pool = await serveBad();
  const before = privateMib(pool.pid);
  await get(pool, '/endless?mb=300');
  let peak = before;
  await waitUntil('it is replaced', () => {
    peak = Math.max(peak, privateMib(pool.pid));
    return readyPids(pool).length === 3;
  });
  expect(peak - before).toBeLessThan(100);
  await expectServing(pool);
});

test('messages of the app itself are not kept', async () => {
  const pool = await serveBad();
  const before = privateMib(pool.pid);
  await get(pool, '/flood?ms=3000');
  await sleep(4000);
  await waitUntil('what was read is given back', () => privateMib(pool.pid) - before < 40);
  await expectServing(pool);
});

test('an app without descriptors does not die of our reports', async () => {
  const pool = await serveBad(['--workers', '1'], {
    enter: ['sh', '-c', 'ulimit -n 200 && exec "$@"', 'sh'],
  });
  const pid = await get(pool, '/descriptors');
  // Three reports later.
  await sleep(3500);
  expect(isAlive(Number(pid))).toBe(true);
  expect(pool.told('worker_crashed')).toEqual([]);
});

test('a full disk under the log does not end the server', async () => {
  const full = openSync('/dev/full', 'w');
  const name = `full-${process.pid}`;
  const args = ['serve', ECHO_APP, '--workers', '1', '--port', '0', '--ops', 'off', '--name', name];
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', full, full] });
  closeSync(full);
  onTestFinished(() => killTree(child.pid ?? 0));
  let status: Partial<Status> = {};
  await waitUntil('it serves', async () => {
    const { code, stdout } = await runCli(['status', '--json', '--name', name]);
    if (code === 0) status = JSON.parse(stdout) as Status;
    return status.listen?.length === 1;
  });
  const url = status.listen?.[0] ?? '';
  // One more event, which has nowhere to go either.
  expect((await runCli(['recycle', '--name', name])).code).toBe(0);
  expect((await fetch(url)).status).toBe(200);
  expect([child.exitCode, child.signalCode]).toEqual([null, null]);
});

test('behind a gateway a request is lost only if nobody else answered it', async () => {
  const command = ['--', 'env', 'UNIX_SOCKET={socket}', process.execPath, ECHO_APP];
  const pool = await serve(['--workers', '2', '--ops', '127.0.0.1:0', ...command]);
  await pool.waitForTold('all_ready', 2);
  const slow = `${pool.url}/slow?ms=1500`;
  const answers = Promise.all(Array.from({ length: 6 }, () => fetch(slow)));
  // Each holds three, and one report has told so.
  await sleep(1200);
  const { workers } = await statusOfPool(pool);
  killOne(workers.find(({ slot }) => slot === 1)?.pid ?? 0, 'SIGKILL');
  expect((await answers).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  await pool.waitForTold('worker_crashed');
  await sleep(1200);
  const metrics = await (await fetch(new URL('/metrics', await opsUrl(pool)))).text();
  expect(metrics).toMatch(/requests_dropped_total\{[^}]*reason="crash"[^}]*\} 0\n/);
  expect(metrics).not.toMatch(/requests_dropped_total\{[^}]*\} [1-9]/);
  expect(metrics).toMatch(/requests_retried_total\{[^}]*\} 3\n/);
});

test('a stop ends although a process in a session of its own holds the channel', async () => {
  const file = join(scratchFolder(), 'heir');
  const env = { HEIR_SECONDS: '60', HEIR_FILE: file };
  const pool = await serveBad(['--workers', '1'], { env });
  const heir = Number(readFileSync(file, 'utf8'));
  onTestFinished(() => killOne(heir));
  killOne(pool.pid, 'SIGTERM');
  await waitUntil('it has ended', () => !isAlive(pool.pid), 5000);
  expect([isAlive(heir), await pool.exited]).toEqual([true, { code: 0, signal: null }]);
});

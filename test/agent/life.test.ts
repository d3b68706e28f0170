import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { createRequire } from 'node:module';
import type { WorkerReport } from '../../src/protocol.ts';
import type { Harness, HarnessOptions, Worker } from './harness.ts';
import { appPath, portOf, startHarness, waitFor, waitForOutput } from './harness.ts';
import { head, type Line, openLine, sleep, startLoad } from './load.ts';

let harness: Harness;

afterEach(async () => {
  await harness.stop();
});

describe('reports', () => {
  test('count answers, requests in flight, connections and what lives long', async () => {
    start('long-lived.cjs');
    const worker = await harness.start();
    const lines = await Promise.all([open(), open(), open(), open()]);
    const [idle, slow, events, socket] = lines;
    await ask(idle, '/');
    slow.socket.write(head('GET', '/?ms=100000'));
    events.socket.write(head('GET', '/events'));
    await once(events.socket, 'data');
    socket.socket.write(head('GET', '/socket', UPGRADE));
    await once(socket.socket, 'data');
    await expectReport(worker, { requests: 1, inFlight: 3, longLived: 2, connections: 4 });
    for (const { socket } of lines) socket.destroy();
    // An upgraded connection is none of HTTP's requests any more; the others were answered or given up.
    await expectReport(worker, { requests: 3, inFlight: 0, longLived: 0, connections: 0 });
    expect(worker.report?.heapUsedBytes).toBeGreaterThan(1e6);
    expect(worker.report?.eventLoopUtilization).toBeLessThan(1);
  });

  test('come at once when the request limit is reached', async () => {
    start('http.cjs', { brief: { requestLimit: 3, reportIntervalMs: 100_000 } });
    const worker = await harness.start();
    const line = await open();
    for (let i = 0; i < 5; i++) await ask(line, '/');
    await expectReport(worker, { requests: 3 });
    expect(worker.messages.filter(({ type }) => type === 'report')).toHaveLength(1);
    line.socket.destroy();
  });

  test('come out of turn when requests have become many, and again when twice as many', async () => {
    start('long-lived.cjs', { brief: { reportIntervalMs: 100_000 } });
    const worker = await harness.start();
    const lines = await Promise.all(Array.from({ length: 8 }, open));
    const begin = (from: number, to: number): void => {
      for (const { socket } of lines.slice(from, to)) socket.write(head('GET', '/?ms=100000'));
    };
    begin(0, 4);
    await expectReport(worker, { inFlight: 4 });
    begin(4, 7);
    await ask(lines[7]!, '/');
    begin(7, 8);
    await expectReport(worker, { inFlight: 8 });
    const reports = worker.messages.filter((message) => message.type === 'report');
    expect(reports.map(({ early }) => early)).toEqual([true, true]);
    for (const { socket } of lines) socket.destroy();
  });
});

describe('warm-up', () => {
  test.each([
    ['http.cjs', {}],
    ['https.cjs', {}],
    ['http2.cjs', { API: 'compat' }],
    ['http2.cjs', { API: 'clear' }],
  ])('%s %j', async (name, env) => {
    start(name, { env, brief: { warmupPath: '/warm?ms=5' } });
    const worker = await harness.start(({ type }) => type === 'warm');
    expect(worker.messages.find(({ type }) => type === 'warm')).toMatchObject({ status: 200 });
    // It is no request, and its connection is no client's.
    const { length } = worker.messages;
    const isLater = () => worker.messages.slice(length).some(({ type }) => type === 'report');
    await waitFor(worker, isLater);
    expect(worker.report).toMatchObject({ requests: 0, inFlight: 0, connections: 0 });
  });

  test('that fails says why', async () => {
    const nodeArgs = ['--import', 'data:text/javascript,globalThis.hangUp=true'];
    start('hang-up.cjs', { nodeArgs, brief: { warmupPath: '/' } });
    const worker = await harness.start(({ type }) => type === 'warm');
    const message = worker.messages.find(({ type }) => type === 'warm');
    expect(message).toEqual(
      expect.objectContaining({ status: null, message: expect.stringMatching(/hang up|reset/i) }),
    );
  });
});

describe('long-lived connections', () => {
  test('the app is told, and may end them itself', async () => {
    start('long-lived.cjs', { env: { SAY_GOODBYE: '1' } });
    const worker = await harness.start();
    await harness.start();
    const socket = new WebSocket(`ws://127.0.0.1:${portOf(harness)}/socket`);
    const [answer] = await exchange(socket, worker);
    const goodbye = once(socket, 'close');
    const result = await harness.drain(answer);
    expect(await goodbye).toEqual([1001, Buffer.from('bye')]);
    expect(result).toMatchObject({ cutRequests: 0, cutLongLived: 0 });
    await waitForOutput(answer, 'told {"deadlineMs":10000,"longDeadlineMs":20000}');
  });

  test('outlive the cut of requests, and are cut by their own', async () => {
    start('long-lived.cjs');
    const worker = await harness.start();
    const socket = new WebSocket(`ws://127.0.0.1:${portOf(harness)}/socket`);
    await exchange(socket, worker);
    const [events, slow] = [await open(), await open()];
    events.socket.write(head('GET', '/events'));
    await once(events.socket, 'data');
    slow.socket.write(head('GET', '/?ms=100000'));
    await expectReport(worker, { inFlight: 3, longLived: 2 });
    const drained = harness.drain(worker);
    const cut = slow.ask();
    harness.send(worker, { type: 'cut', scope: 'requests' });
    await expect(cut).rejects.toThrow('closed');
    // Still served, although nothing else is.
    await exchange(socket, worker);
    let tail = '';
    events.socket.on('data', (chunk) => {
      tail += chunk.toString();
    });
    harness.send(worker, { type: 'cut', scope: 'all' });
    await once(socket, 'close');
    expect(await drained).toMatchObject({ cutRequests: 1, cutLongLived: 2 });
    expect(tail).toBe('0\r\n\r\n');
  });
});

describe('a connection that no sibling takes', () => {
  test('is refused by a full one and offered to the next', async () => {
    const env = { MAX: '1000' };
    start('full.cjs', { env });
    const old = await harness.start();
    const line = await open();
    await ask(line, '/');
    env.MAX = '3';
    const full = await harness.start();
    const lines = await fill(full, 3);
    env.MAX = '1000';
    const roomy = await harness.start();
    harness.favourite.worker = full;
    await harness.drain(old);
    const { body } = await ask(line, '/');
    expect(JSON.parse(body)).toMatchObject({ pid: roomy.process.pid });
    const refusals = full.messages.filter(({ type }) => type === 'adopted');
    expect(refusals).toEqual([expect.objectContaining({ ok: false })]);
    for (const { socket } of [line, ...lines]) socket.destroy();
  });

  test('an adopted connection is closed by the keep-alive timeout, a slow request on it is not', async () => {
    start('timeouts.cjs', { env: { OPTIONS: '{"keepAliveTimeout":1000}' } });
    const old = await harness.start();
    const [idle, busy] = [await open(), await open()];
    await Promise.all([ask(idle, '/'), ask(busy, '/')]);
    await harness.start();
    expect(await harness.drain(old)).toMatchObject({ moved: 2 });
    const slow = ask(busy, '/?ms=2500');
    await once(idle.socket, 'close');
    expect(await slow).toMatchObject({ status: 200 });
    busy.socket.destroy();
  });
});

describe('the timeouts of an adopted connection', () => {
  /** The old worker drained, with one used and one never used connection that moved. */
  async function move(options: object): Promise<{ used: Line; fresh: Line }> {
    start('timeouts.cjs', { env: { OPTIONS: JSON.stringify(options) } });
    const old = await harness.start();
    const [used, fresh] = [await open(), await open()];
    await ask(used, '/');
    await expectReport(old, { connections: 2, inFlight: 0 });
    await harness.start();
    expect(await harness.drain(old)).toMatchObject({ moved: 2 });
    return { used, fresh };
  }

  test('one that was never used may wait for its first request as ever', async () => {
    const { used, fresh } = await move({ keepAliveTimeout: 500 });
    await once(used.socket, 'close');
    await sleep(500);
    expect(await ask(fresh, '/')).toMatchObject({ status: 200 });
    fresh.socket.destroy();
  });

  test('one that may be idle for ever is not taken for a slow first request', async () => {
    const timeouts = { keepAliveTimeout: 0, headersTimeout: 600, connectionsCheckingInterval: 100 };
    const { used, fresh } = await move({ ...timeouts, requestTimeout: 0 });
    // Node ends the one that never sent anything: the limit works, and its time is over.
    await once(fresh.socket, 'close');
    await sleep(600);
    expect(await ask(used, '/')).toMatchObject({ status: 200 });
    used.socket.destroy();
  });
});

describe('without a supervisor', () => {
  test('that was killed while it started the worker the app never runs', async () => {
    start('http.cjs', { brief: { parentPid: process.ppid } });
    const worker = harness.spawn();
    expect(await once(worker.process, 'exit')).toEqual([0, null]);
    expect(worker.messages).toEqual([]);
  });

  test('the app runs while its parent is there', async () => {
    start('http.cjs', { brief: { parentPid: process.pid } });
    await harness.start();
  });

  test('a worker answers what is in flight and leaves', async () => {
    start('http.cjs', { brief: { orphanGraceMs: 10_000 } });
    const worker = await harness.start();
    const [busy, idle] = [await open(), await open()];
    await ask(idle, '/');
    const answer = ask(busy, '/?ms=300');
    await expectReport(worker, { inFlight: 1 });
    const gone = once(worker.process, 'exit');
    worker.process.disconnect();
    expect(await answer).toMatchObject({ status: 200, close: true });
    // The idle client has no sibling: it is told with its next answer.
    expect(await ask(idle, '/')).toMatchObject({ status: 200, close: true });
    expect(await gone).toEqual([0, null]);
    expect(worker.output.text).toBe('');
  });

  test('it leaves at the latest after its grace', async () => {
    start('http.cjs', { brief: { orphanGraceMs: 200 } });
    const worker = await harness.start();
    const line = await open();
    line.socket.write(head('GET', '/?ms=100000'));
    await expectReport(worker, { inFlight: 1 });
    const gone = once(worker.process, 'exit');
    worker.process.disconnect();
    expect(await gone).toEqual([0, null]);
    line.socket.destroy();
  });
});

test('many idle connections move while they are used', { timeout: 60_000 }, async () => {
  start('http.cjs');
  const old = await harness.start();
  const lines = await Promise.all(Array.from({ length: 400 }, open));
  await Promise.all(lines.map((line) => ask(line, '/')));
  // Some were never used: no byte has come on them.
  const fresh = await Promise.all(Array.from({ length: 50 }, open));
  await expectReport(old, { connections: 450 });
  await harness.start();
  const load = startLoad({ port: portOf(harness) }, ['simple', 'fresh'], 2);
  const result = await harness.drain(old);
  expect(result.moved).toBeGreaterThanOrEqual(450);
  const answers = await Promise.all([...lines, ...fresh].map((line) => ask(line, '/')));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  const { failed, hung, mismatched } = await load.stop();
  expect({ failed, hung, mismatched }).toEqual({ failed: [], hung: [], mismatched: [] });
  for (const { socket } of [...lines, ...fresh]) socket.destroy();
});

// --- internal ---

interface Ws {
  send(text: string): void;
}

/** The `ws` client, from the test apps: Node 20 has none of its own. */
const { WebSocket } = createRequire(appPath('package.json'))('ws') as {
  WebSocket: new (url: string) => Ws & NodeJS.EventEmitter;
};

const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

function start(name: string, options: Partial<HarnessOptions> = {}): void {
  harness = startHarness({ app: appPath(name), ...options });
}

function open(): Promise<Line> {
  return openLine({ port: portOf(harness) });
}

async function ask(line: Line, url: string): Promise<Awaited<ReturnType<Line['ask']>>> {
  const answer = line.ask();
  line.socket.write(head('GET', url));
  return answer;
}

/** Says something over a WebSocket; returns the worker that answers. */
async function exchange(socket: Ws & NodeJS.EventEmitter, first: Worker): Promise<[Worker]> {
  if ((socket as { readyState?: number }).readyState === 0) await once(socket, 'open');
  socket.send('hello');
  const [data] = (await once(socket, 'message')) as [Buffer];
  const pid = Number(data.toString().split(' ')[0]);
  const worker = [...harness.workers].find(({ process }) => process.pid === pid);
  return [worker ?? first];
}

async function expectReport(worker: Worker, wanted: Partial<WorkerReport>): Promise<void> {
  const matches = () => {
    const { report } = worker;
    return Object.entries(wanted).every(
      ([key, value]) => report?.[key as keyof WorkerReport] === value,
    );
  };
  try {
    await waitFor(worker, matches, 5000);
  } catch {
    expect(worker.report).toMatchObject(wanted);
  }
}

/** Opens connections until a worker has so many. */
async function fill(worker: Worker, wanted: number): Promise<Line[]> {
  const lines: Line[] = [];
  for (let i = 0; i < 500 && lines.length < wanted; i++) {
    const line = await open();
    const { body } = await ask(line, '/');
    if ((JSON.parse(body) as { pid: number }).pid === worker.process.pid) lines.push(line);
    else line.socket.destroy();
  }
  expect(lines).toHaveLength(wanted);
  return lines;
}

import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Harness, HarnessOptions, Worker } from './harness.ts';
import { appPath, portOf, startHarness, waitFor, waitForOutput } from './harness.ts';
import { head, openLine, startLoad, type Target } from './load.ts';

let harness: Harness;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cof-'));
});

afterEach(async () => {
  await harness.stop();
  rmSync(folder, { recursive: true });
});

describe('the first worker binds, later ones inherit', () => {
  test.each([
    ['any port', [], 'tcp:*:0#1'],
    ['a port', ['PORT'], 'tcp:*:PORT#1'],
    ['a port as a string', ['0PORT'], 'tcp:*:PORT#1'],
    ['a port and a host', ['PORT', '127.0.0.1'], 'tcp:127.0.0.1:PORT#1'],
    ['a host name', ['PORT', 'localhost'], 'tcp:localhost:PORT#1'],
    ['options', [{ port: 'PORT', host: '127.0.0.1', backlog: 7 }], 'tcp:127.0.0.1:PORT#1'],
    ['exclusive options', [{ port: 'PORT', exclusive: true }], 'tcp:*:PORT#1'],
  ])('listen on %s', async (_what, args, key) => {
    const port = await findFreePort();
    const fill = (text: string) =>
      text.replaceAll('"PORT"', String(port)).replaceAll('PORT', String(port));
    // Frozen, for what belongs to the app must not be written to.
    const env = { LISTEN: fill(JSON.stringify(args)), FREEZE: '1' };
    start('listen.cjs', { env });
    const first = await harness.start();
    expect([...harness.kept.keys()]).toEqual([fill(key)]);
    const second = await harness.start();
    await expectAnswersFrom([first, second]);
    for (const worker of [first, second]) {
      await waitForOutput(worker, 'options untouched');
      expect(worker.output.text).toContain(`"port":${portOf(harness)}`);
    }
    expect(listening(second)).toEqual([{ key: fill(key), inherited: true }]);
  });

  test('two ports, the second late', async () => {
    start('two-ports.cjs');
    const isSecond = ({ messages }: Worker) => listening({ messages }).length === 2;
    const first = harness.spawn();
    await waitFor(first, () => isSecond(first));
    const second = harness.spawn();
    await waitFor(second, () => isSecond(second));
    expect([...harness.kept.keys()]).toEqual(['tcp:*:0#1', 'tcp:*:0#2']);
    expect(listening(second).every(({ inherited }) => inherited)).toBe(true);
    const ports = [...harness.kept.values()].map(({ address }) => address);
    expect(ports[0]).not.toEqual(ports[1]);
  });

  test('two listens at once, on a host to be looked up', async () => {
    start('two-at-once.cjs');
    const isSecond = ({ messages }: Worker) => listening({ messages }).length === 2;
    const first = harness.spawn();
    await waitFor(first, () => isSecond(first));
    expect([...harness.kept.keys()].sort()).toEqual(['tcp:localhost:0#1', 'tcp:localhost:0#2']);
    const second = harness.spawn();
    await waitFor(second, () => isSecond(second));
    expect(listening(second).every(({ inherited }) => inherited)).toBe(true);
  });

  test('every address of localhost (Fastify)', async () => {
    start('fastify.cjs');
    const first = await harness.start();
    const second = await harness.start();
    expect(listening(second).every(({ inherited }) => inherited)).toBe(true);
    await expectAnswersFrom([first, second]);
  });

  test('an app that probes for a free port', async () => {
    start('probe.cjs', { env: { PORT: String(await findFreePort()) } });
    const first = await harness.start();
    const second = await harness.start();
    expect(listening(first)).toHaveLength(1);
    expect(listening(second)).toEqual([{ key: listening(first)[0]?.key, inherited: true }]);
    expect(second.output.text).toBe('');
    await expectAnswersFrom([first, second]);
  });
});

describe('an address named by the user', () => {
  test.each([
    ['listen()', [], 'tcp:*:0#1'],
    ['listen(port)', [1], 'tcp:*:1#1'],
    ['listen(port, host)', [1, 'localhost'], 'tcp:localhost:1#1'],
    ['listen(options)', [{ port: 1 }], 'tcp:*:1#1'],
  ])('moves %s', async (_what, args, key) => {
    const port = await findFreePort();
    const address = { port, host: '127.0.0.1' };
    start('listen.cjs', { env: { LISTEN: JSON.stringify(args) }, brief: { address } });
    const first = await harness.start();
    expect(harness.kept.get(key)?.address).toEqual({ kind: 'tcp', ...address });
    const second = await harness.start();
    await expectAnswersFrom([first, second]);
  });

  test('only the port, to a host by name, and only the first listen', async () => {
    const port = await findFreePort();
    start('two-ports.cjs', { brief: { address: { port, host: 'localhost' } } });
    const worker = harness.spawn();
    await waitFor(worker, () => listening(worker).length === 2);
    const [first, second] = [...harness.kept.values()].map(({ address }) => address);
    expect(first).toMatchObject({ port });
    expect(second).not.toMatchObject({ port });
  });
});

describe('what cannot be listened on', () => {
  test('a port in use is told, and the app gets its own error', async () => {
    const other = createServer().listen(0);
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    start('listen.cjs', { env: { LISTEN: `[${port}]` } });
    const worker = harness.spawn();
    const message = await waitFor(worker, ({ type }) => type === 'listen_failed');
    expect(message).toMatchObject({ key: `tcp:*:${port}#1`, code: 'EADDRINUSE' });
    await waitForOutput(worker, 'error EADDRINUSE');
    other.close();
  });

  test('a descriptor of the app is left alone', async () => {
    start('listen.cjs', { env: { LISTEN: '[{"fd":999}]' } });
    const worker = harness.spawn();
    await waitForOutput(worker, 'error E');
    expect(worker.messages.map(({ type }) => type)).toEqual(['hello']);
  });
});

describe('a unix socket', () => {
  test('is shared, outlives the worker that bound it, and tells its path', async () => {
    const path = join(folder, 'app.sock');
    start('unix.cjs', { env: { SOCKET: path } });
    const first = await harness.start();
    const second = await harness.start();
    await expectAnswersFrom([first, second], { path });
    await harness.drain(first);
    await harness.start();
    for (const worker of [first, second]) await waitForOutput(worker, `address ${path}`);
    const load = startLoad({ path }, ['simple'], 1);
    expect(statSync(path).isSocket()).toBe(true);
    expect((await load.stop()).failed).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(['.app.sock.cofferdam', 'app.sock']);
  });

  test('has the mode that the app asks for', async () => {
    const path = join(folder, 'app.sock');
    const LISTEN = JSON.stringify([{ path, readableAll: true, writableAll: true }]);
    start('listen.cjs', { env: { LISTEN } });
    const first = await harness.start();
    const second = await harness.start();
    await expectAnswersFrom([first, second], { path });
    expect(statSync(path).mode & 0o666).toBe(0o666);
  });

  test('is put back when a later worker removes "its stale socket"', async () => {
    const path = join(folder, 'app.sock');
    start('unix.cjs', { env: { SOCKET: path, UNLINK: '1' } });
    const first = await harness.start();
    const second = await harness.start();
    await expectAnswersFrom([first, second], { path });
  });

  test('on a path in use fails as ever', async () => {
    const path = join(folder, 'app.sock');
    const other = createServer().listen(path);
    await once(other, 'listening');
    start('unix.cjs', { env: { SOCKET: path } });
    const worker = harness.spawn();
    const message = await waitFor(worker, ({ type }) => type === 'listen_failed');
    expect(message).toMatchObject({ key: `unix:${path}#1`, code: 'EADDRINUSE' });
    other.close();
  });
});

// --- internal ---

function start(name: string, options: Partial<HarnessOptions> = {}): void {
  harness = startHarness({ app: appPath(name), ...options });
}

function listening({ messages }: Pick<Worker, 'messages'>): { key: string; inherited: boolean }[] {
  return messages.flatMap((message) =>
    message.type === 'listening' ? [{ key: message.key, inherited: message.inherited }] : [],
  );
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Connects until each of the workers has answered. */
async function expectAnswersFrom(workers: readonly Worker[], target?: Target): Promise<void> {
  const waiting = new Set(workers.map((worker) => worker.process.pid));
  for (let i = 0; i < 500 && waiting.size > 0; i++) {
    const line = await openLine(target ?? { port: portOf(harness) });
    line.socket.write(head('GET', '/'));
    const { body } = await line.ask();
    waiting.delete((JSON.parse(body) as { pid: number }).pid);
    line.socket.destroy();
  }
  expect([...waiting]).toEqual([]);
}

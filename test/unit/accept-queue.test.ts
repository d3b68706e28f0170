/** The queue in front of the workers, as the kernel's table of sockets tells it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { readAcceptQueue, type ListeningAt } from '../../src/metrics/accept-queue.ts';
import { waitUntil } from '../support/processes.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cofferdam-queue-'));
  mkdirSync(join(root, 'proc/self/net'), { recursive: true });
});

afterEach(() => rmSync(root, { recursive: true }));

const at = (port: number, host = '127.0.0.1'): ListeningAt[] => [{ host, port }];

const LISTEN = '0A';
const ESTABLISHED = '01';

/** A line of /proc/net/tcp, as wide as the kernel makes it. */
function lineOf(index: number, port: number, state: string, waiting: number): string {
  const hex = (value: number, digits: number): string =>
    value.toString(16).toUpperCase().padStart(digits, '0');
  const socket = `${String(index).padStart(4)}: 0100007F:${hex(port, 4)} 00000000:0000 ${state}`;
  return `${socket} 00000000:${hex(waiting, 8)} 00:00000000 00000000     0        0 1`.padEnd(149);
}

function writeTable(name: 'tcp' | 'tcp6', lines: readonly string[]): void {
  const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when'.padEnd(149);
  writeFileSync(join(root, 'proc/self/net', name), `${[head, ...lines].join('\n')}\n`);
}

test('sums what waits at the ports that are asked for, and at no other', () => {
  writeTable('tcp', [lineOf(0, 3000, LISTEN, 5), lineOf(1, 4000, LISTEN, 7)]);
  writeTable('tcp6', [lineOf(0, 3000, LISTEN, 2)]);
  expect(readAcceptQueue(at(3000), { root })).toBe(5);
  expect(readAcceptQueue(at(3000, '::'), { root })).toBe(2);
  expect(readAcceptQueue([...at(3000), ...at(4000), ...at(3000, '::1')], { root })).toBe(14);
  expect(readAcceptQueue(at(5000), { root })).toBe(0);
});

test('finds its port behind a hundred others, and ends where connections begin', () => {
  const others = Array.from({ length: 100 }, (_, index) => lineOf(index, 5000 + index, LISTEN, 1));
  const connection = lineOf(101, 3000, ESTABLISHED, 99);
  writeTable('tcp', [...others, lineOf(100, 3000, LISTEN, 4), connection]);
  expect(readAcceptQueue(at(3000), { root })).toBe(4);
});

test('is 0 without such a table, and without ports', () => {
  expect(readAcceptQueue(at(3000), { root })).toBe(0);
  expect(readAcceptQueue([], { root })).toBe(0);
});

/** Listens, and then never accepts. */
const DEAF = `
  const server = require('node:net').createServer().listen(0, '127.0.0.1', () =>
    process.stdout.write(server.address().port + '\\n', () =>
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)));
`;

/** The kernel tells some 27 with one read, in an order of its own. */
const OTHERS = 200;

test.runIf(existsSync('/proc/self/net/tcp'))(
  'of the kernel itself, where many others listen',
  async () => {
    const others = Array.from({ length: OTHERS }, () => createServer().listen(0, '127.0.0.1'));
    onTestFinished(() => others.forEach((server) => server.close()));
    const deaf = spawn(process.execPath, ['-e', DEAF], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void deaf.kill('SIGKILL'));
    const [line] = (await once(createInterface(deaf.stdout), 'line')) as [string];
    const clients = [1, 2, 3].map(() => connect(Number(line), '127.0.0.1'));
    onTestFinished(() => clients.forEach((client) => client.destroy()));
    await waitUntil('three wait', () => readAcceptQueue(at(Number(line))) === 3);
  },
);

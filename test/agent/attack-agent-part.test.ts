/**
 * What the agent adds to an app must not keep what the app itself would let go of: the same clients
 * ask the same app, bare and under the agent, and leave as much in both.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { END_HEADERS, END_STREAM, FRAME, frame, PREFACE } from '../support/http2-frames.ts';
import { APPS_FOLDER, killOne, startBareApp, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { readyPids, serve } from '../support/serve.ts';

const APP = join(APPS_FOLDER, 'memory.cjs');

/** AGENT_PART_CLIENTS=20000 measures to the byte what 1000 only bound. */
const CLIENTS = Number(process.env['AGENT_PART_CLIENTS'] ?? 1000);
const WARM_UP_CLIENTS = 300;
const AT_ONCE = 20;

/** A heap at rest moves by less; a listener on each HTTP/2 session cost 2,300 B. */
const AGENT_BYTES_MAX = 350;

/** Between two readings of a heap at rest. */
const SETTLED_BYTES = 20_000;
const READINGS_MAX = 15;

/** GET, http and / by their numbers; without an authority, with which Node leaked nothing. */
const HEAD = Buffer.from([0x82, 0x86, 0x84]);

const REQUEST = {
  http1: Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n'),
  http2: Buffer.concat([
    PREFACE,
    frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
    frame(FRAME.headers, END_STREAM | END_HEADERS, 1, HEAD),
  ]),
};

/** Its body never comes. */
const OPEN_REQUEST = Buffer.concat([
  PREFACE,
  frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
  frame(FRAME.headers, END_HEADERS, 1, HEAD),
]);

type Protocol = keyof typeof REQUEST;

interface Way {
  readonly name: string;
  readonly bytes: Readonly<Record<Protocol, Buffer>>;
  leave(socket: Socket): void;
}

const WAYS: readonly Way[] = [
  {
    name: 'end well',
    bytes: {
      http1: REQUEST.http1,
      http2: Buffer.concat([REQUEST.http2, frame(FRAME.goaway, 0, 0, Buffer.alloc(8))]),
    },
    leave: (socket) => void socket.end(),
  },
  { name: 'reset', bytes: REQUEST, leave: (socket) => void socket.resetAndDestroy() },
  {
    name: 'err',
    // A window that grows by nothing is a protocol error, here with a body under way.
    bytes: {
      http1: Buffer.concat([REQUEST.http1, Buffer.from('\0\r\n\r\n')]),
      http2: Buffer.concat([OPEN_REQUEST, frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(4))]),
    },
    leave: (socket) => void socket.destroy(),
  },
  {
    name: 'hang',
    // A head without its end, and a body that never comes.
    bytes: { http1: REQUEST.http1.subarray(0, -2), http2: OPEN_REQUEST },
    leave: (socket) => void setTimeout(() => socket.destroy(), 20),
  },
];

/** A running app, bare or under the agent. */
interface Running {
  readonly port: number;
  readonly pid: number;
  readonly file: string;
}

async function startBare(protocol: Protocol): Promise<Running> {
  const file = join(scratchFolder(), 'heap');
  const app = await startBareApp({ PROTOCOL: protocol, MEM_FILE: file }, APP);
  onTestFinished(() => app.stop());
  return { port: app.port, pid: app.pid, file };
}

async function startServed(protocol: Protocol): Promise<Running> {
  const file = join(scratchFolder(), 'heap');
  const env = { PROTOCOL: protocol, MEM_FILE: file };
  const pool = await serve([APP, '--workers', '1', '--ops', 'off'], { env });
  await pool.waitForTold('all_ready');
  return { port: pool.port, pid: readyPids(pool)[0] ?? 0, file };
}

async function visit(port: number, protocol: Protocol, way: Way): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(way.bytes[protocol]);
  await sleep(5);
  way.leave(socket);
  await closed;
}

async function visitMany(app: Running, protocol: Protocol, way: Way, count: number) {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await visit(app.port, protocol, way);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

async function readHeap({ file, pid }: Running): Promise<number> {
  rmSync(file, { force: true });
  killOne(pid, 'SIGUSR2');
  await waitUntil('the heap is told', () => existsSync(file) && readFileSync(file).length > 0);
  return Number(readFileSync(file, 'utf8'));
}

/** Two readings that agree; on a machine that never rests, the least of the last ones. */
async function readRestingHeap(app: Running): Promise<number> {
  const heaps = [await readHeap(app)];
  while (heaps.length < READINGS_MAX) {
    await sleep(200);
    const previous = heaps.at(-1) ?? 0;
    const heap = await readHeap(app);
    if (Math.abs(previous - heap) < SETTLED_BYTES) return heap;
    heaps.push(heap);
  }
  return Math.min(...heaps.slice(-3));
}

test.each(['http1', 'http2'] as const)(
  'clients of %s leave in a worker what they leave in the app without an agent',
  async (protocol) => {
    const [bare, served] = await Promise.all([startBare(protocol), startServed(protocol)]);
    for (const way of WAYS) {
      for (const app of [bare, served]) await visitMany(app, protocol, way, WARM_UP_CLIENTS);
    }
    for (const way of WAYS) {
      const kept = async (app: Running): Promise<number> => {
        const before = await readRestingHeap(app);
        await visitMany(app, protocol, way, CLIENTS);
        return ((await readRestingHeap(app)) - before) / CLIENTS;
      };
      // What was compiled meanwhile does not come again; what leaks does.
      let [alone, withAgent] = [await kept(bare), await kept(served)];
      for (let again = 0; again < 2 && withAgent - alone > AGENT_BYTES_MAX; again++) {
        [alone, withAgent] = [await kept(bare), await kept(served)];
      }
      const numbers = [alone, withAgent].map((bytes) => `${bytes.toFixed(0)} B`).join(', ');
      console.log(`${process.version} ${protocol}, ${way.name}: bare and served ${numbers}`);
      expect.soft(withAgent - Math.max(0, alone), way.name).toBeLessThan(AGENT_BYTES_MAX);
    }
  },
  600_000,
);

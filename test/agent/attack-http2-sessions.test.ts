/** What the agent adds to an app must not keep what the app itself would let go of. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'vitest';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  PREFACE,
  requestBlock,
} from '../support/http2-frames.ts';
import { APPS_FOLDER, killOne, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { readyPids, serve } from '../support/serve.ts';

const CLIENTS = 1000;
/** Bare Node keeps up to 91 B; with a listener on each session it was 2,300 and more. */
const KEPT_BYTES_MAX = 600;
/** Between two readings of a heap at rest. */
const SETTLED_BYTES = 20_000;

const REQUEST = Buffer.concat([
  PREFACE,
  frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
  frame(FRAME.headers, END_STREAM | END_HEADERS, 1, requestBlock('GET', '/')),
]);
/** A window that grows by nothing is a protocol error. */
const FAULT = frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(4));

const WAYS = {
  'err and break off': Buffer.concat([REQUEST, FAULT]),
  'break off': REQUEST,
  'end well': Buffer.concat([REQUEST, frame(FRAME.goaway, 0, 0, Buffer.alloc(8))]),
};

async function visit(port: number, bytes: Buffer): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(bytes);
  await sleep(5);
  socket.destroy();
  await closed;
}

test.each(Object.entries(WAYS))(
  'HTTP/2 clients that %s leave nothing in a worker',
  async (_, bytes) => {
    const file = join(scratchFolder(), 'heap');
    const app = join(APPS_FOLDER, 'http2-memory.cjs');
    const pool = await serve([app, '--workers', '1', '--ops', 'off'], { env: { MEM_FILE: file } });
    await pool.waitForTold('all_ready');
    const visitMany = async (): Promise<void> => {
      let left = CLIENTS;
      const lane = async (): Promise<void> => {
        while (left-- > 0) await visit(pool.port, bytes);
      };
      await Promise.all(Array.from({ length: 20 }, lane));
    };
    const readHeap = async (): Promise<number> => {
      rmSync(file, { force: true });
      killOne(readyPids(pool)[0] ?? 0, 'SIGUSR2');
      await waitUntil('the heap is told', () => existsSync(file) && readFileSync(file).length > 0);
      return Number(readFileSync(file, 'utf8'));
    };
    await visitMany();
    // What the first ones bring for good (compiled code, pools) settles within seconds.
    let before = await readHeap();
    await waitUntil('the heap is at rest', async () => {
      const previous = before;
      await sleep(300);
      before = await readHeap();
      return Math.abs(previous - before) < SETTLED_BYTES;
    });
    await visitMany();
    await waitUntil('what they left is collected', async () => {
      await sleep(300);
      return ((await readHeap()) - before) / CLIENTS < KEPT_BYTES_MAX;
    });
  },
);

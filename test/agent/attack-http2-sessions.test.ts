/** What the agent adds to an app must not keep what the app itself would let go of. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
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
    const heapAfter = async (clients: number): Promise<number> => {
      let left = clients;
      const lane = async (): Promise<void> => {
        while (left-- > 0) await visit(pool.port, bytes);
      };
      await Promise.all(Array.from({ length: 20 }, lane));
      await sleep(500);
      rmSync(file, { force: true });
      killOne(readyPids(pool)[0] ?? 0, 'SIGUSR2');
      await waitUntil('the heap is told', () => existsSync(file) && readFileSync(file).length > 0);
      return Number(readFileSync(file, 'utf8'));
    };
    const before = await heapAfter(CLIENTS);
    const after = await heapAfter(CLIENTS);
    expect((after - before) / CLIENTS).toBeLessThan(KEPT_BYTES_MAX);
  },
);

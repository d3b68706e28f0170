/**
 * A raw client that is allowed to do what it does, but that nobody wants to serve: headers byte by
 * byte, pipelines, slow bodies, `Expect: 100-continue`, slow reading, half-open connections, some on
 * which nothing comes for long, big headers. What a drain or a connection hand-over forgets shows here first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { askMaker, countAnswer, type Ask } from './ask.ts';
import {
  DEFAULT_PATIENCE_MS,
  startLoops,
  withPatience,
  type ClientRun,
  type LoopOptions,
  type Watch,
} from './client-loop.ts';
import {
  encodeAsk,
  openConnection,
  type Http1Connection,
  type Target,
} from './http1-connection.ts';
import { ClientFailure, countError, type Tally } from './tally.ts';

export const NASTY_HABITS = [
  'split-head',
  'pipeline',
  'slow-upload',
  'chunked-upload',
  'expect-continue',
  'slow-download',
  'half-open',
  'late-start',
  'big-head',
] as const;

export type NastyHabit = (typeof NASTY_HABITS)[number];

/** Starts nasty clients; each takes its habits in turn, on one connection while that lasts. */
export function startNastyClients(
  target: Target,
  options: LoopOptions & { readonly habits?: readonly NastyHabit[] } = {},
): ClientRun {
  const habits = options.habits ?? NASTY_HABITS;
  const connections = new Map<number, Http1Connection>();
  const rounds = new Map<number, number>();
  const host = new URL(target.url).host;
  const nextGet = askMaker({ paths: ['GET /', 'GET /slow?ms=10'] });
  const nextQuick = askMaker({ paths: ['GET /'] });
  const nextPost = askMaker({ paths: ['POST /upload'], bodyBytes: 20_000 });
  const nextDownload = askMaker({ paths: ['GET /download?bytes=300000'] });

  const once = async (lane: number, tally: Tally): Promise<boolean> => {
    const round = (rounds.get(lane) ?? lane) + 1;
    rounds.set(lane, round);
    const habit = habits[round % habits.length] ?? 'split-head';
    const connection = usableConnection(connections, lane, target);
    const next = { quick: nextQuick, get: nextGet, post: nextPost, download: nextDownload };
    const patienceMs = options.patienceMs ?? DEFAULT_PATIENCE_MS;
    try {
      await withPatience(patienceMs, async (watch) => {
        watch.signal.addEventListener('abort', () => connection.socket.destroy());
        watch.phase = 'connecting';
        await connection.connected();
        watch.phase = 'sent';
        connection.socket.once('data', () => (watch.phase = 'answering'));
        await HABITS[habit]({ connection, host, tally, next, watch });
      });
      if (connection.hasLeftovers()) throw new ClientFailure('wrongBody', 'bytes nobody asked for');
      return true;
    } catch (error) {
      connection.socket.destroy();
      countError(tally, error, habit);
      return false;
    }
  };
  return startLoops(options, once, () => {
    for (const connection of connections.values()) connection.socket.destroy();
  });
}

// --- internal ---

interface Round {
  readonly connection: Http1Connection;
  readonly host: string;
  readonly tally: Tally;
  readonly watch: Watch;
  readonly next: Readonly<Record<'quick' | 'get' | 'post' | 'download', () => Ask>>;
}

const PIPELINE_DEPTH = 4;
/** Below Node's limit of 16 KiB for all headers together. */
const BIG_HEADER_BYTES = 12_000;
const STEP_MS = 2;
const UPLOAD_STEPS = 8;
/** Longer than it takes to move a connection. */
const SILENCE_MS = 200;

const HABITS: Record<NastyHabit, (round: Round) => Promise<void>> = {
  'split-head': async ({ connection, host, tally, next }) => {
    const ask = next.get();
    const [head] = encodeAsk(ask, host);
    for (const [index, byte] of Buffer.from(head).entries()) {
      connection.socket.write(Buffer.of(byte));
      if (index % 16 === 0) await sleep(1);
    }
    countAnswer(tally, ask, await connection.readAnswer());
  },

  pipeline: async ({ connection, host, tally, next }) => {
    const asks = Array.from({ length: PIPELINE_DEPTH }, () => next.get());
    connection.socket.write(asks.map((ask) => encodeAsk(ask, host)[0]).join(''));
    for (const [index, ask] of asks.entries()) {
      countAnswer(tally, ask, await connection.readAnswer());
      if (!connection.usable) {
        tally.unansweredPipelined += asks.length - 1 - index;
        return;
      }
    }
  },

  'slow-upload': async ({ connection, host, tally, next }) => {
    const ask = next.post();
    const [head, body] = encodeAsk(ask, host);
    connection.socket.write(head);
    for (const part of partsOf(body, UPLOAD_STEPS)) {
      connection.socket.write(part);
      await sleep(STEP_MS * 5);
    }
    countAnswer(tally, ask, await connection.readAnswer());
  },

  'chunked-upload': async ({ connection, host, tally, next }) => {
    const ask = next.post();
    const line = `POST ${ask.path} HTTP/1.1\r\nhost: ${host}\r\nx-id: ${ask.id}\r\n`;
    connection.socket.write(`${line}transfer-encoding: chunked\r\n\r\n`);
    for (const part of partsOf(ask.body, UPLOAD_STEPS)) {
      connection.socket.write(`${part.length.toString(16)}\r\n`);
      await sleep(STEP_MS);
      connection.socket.write(part);
      connection.socket.write('\r\n');
    }
    connection.socket.write('0\r\n\r\n');
    countAnswer(tally, ask, await connection.readAnswer());
  },

  'expect-continue': async ({ connection, host, tally, next }) => {
    const ask = next.post();
    const [head, body] = encodeAsk(ask, host, 'expect: 100-continue\r\n');
    connection.socket.write(head);
    const status = await connection.readInterim();
    if (status !== 100) throw new ClientFailure('wrongBody', `status ${status} instead of 100`);
    connection.socket.write(body);
    countAnswer(tally, ask, await connection.readAnswer());
  },

  'slow-download': async ({ connection, host, tally, next }) => {
    const ask = next.download();
    const { socket } = connection;
    socket.write(encodeAsk(ask, host)[0]);
    const reading = connection.readAnswer();
    const over = reading.then(
      () => true,
      () => true,
    );
    do {
      socket.pause();
      await sleep(STEP_MS * 5);
      socket.resume();
    } while (!(await Promise.race([over, sleep(STEP_MS, false)])));
    countAnswer(tally, ask, await reading);
  },

  // Only for an answer that needs no time: Node aborts what is still being made when FIN arrives.
  'half-open': async ({ connection, host, tally, next }) => {
    const ask = next.quick();
    connection.socket.end(encodeAsk(ask, host)[0]);
    countAnswer(tally, ask, await connection.readAnswer());
    connection.socket.destroy();
  },

  // The habit before it has ended its connection: this one has been silent since it was made.
  'late-start': async ({ connection, host, tally, next }) => {
    const ask = next.get();
    await sleep(SILENCE_MS);
    connection.socket.write(encodeAsk(ask, host)[0]);
    countAnswer(tally, ask, await connection.readAnswer());
  },

  'big-head': async ({ connection, host, tally, next }) => {
    const ask = next.get();
    const [head] = encodeAsk(ask, host, `x-big: ${'b'.repeat(BIG_HEADER_BYTES)}\r\n`);
    for (const part of partsOf(Buffer.from(head), 3)) {
      connection.socket.write(part);
      await sleep(STEP_MS);
    }
    countAnswer(tally, ask, await connection.readAnswer());
  },
};

function usableConnection(
  connections: Map<number, Http1Connection>,
  lane: number,
  target: Target,
): Http1Connection {
  const current = connections.get(lane);
  if (current?.usable) return current;
  current?.socket.destroy();
  const connection = openConnection(target);
  connections.set(lane, connection);
  return connection;
}

function partsOf(bytes: Buffer, count: number): Buffer[] {
  const size = Math.ceil(bytes.length / count);
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}

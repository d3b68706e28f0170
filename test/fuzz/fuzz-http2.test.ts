/** HTTP/2 frames in any order and of any content, over TLS, into the gateway. */
import { once } from 'node:events';
import { connect } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { startGateway, type TestGateway } from '../gateway/harness.ts';
import { joinServer, TLS } from '../gateway/peers.ts';
import { createDice, type Dice } from '../sim/dice.ts';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  headerBlock,
  PREFACE,
  requestBlock,
} from '../support/http2-frames.ts';
import { leave, mutate, playRounds, writeInPieces } from './raw.ts';
import { answerWithId, SEED, strangersIn, TIMES, tokenOf, watchGateway } from './watch.ts';

const ROUNDS = 1000 * TIMES;
const AT_ONCE = 16;

type Field = readonly [name: string, value: string];

const METHODS = ['GET', 'POST', 'HEAD', 'PUT', 'CONNECT', 'TRACE', 'get', ''] as const;
const PATHS = ['/', '/slow', '/hang', '/large', '*', '', 'x', '/%zz', '/\x7f'] as const;
const FIELDS: readonly [Field, ...Field[]] = [
  ['expect', '100-continue'],
  ['content-length', '3'],
  ['content-length', '0'],
  ['content-length', 'x'],
  ['connection', 'close'],
  ['transfer-encoding', 'chunked'],
  ['te', 'trailers'],
  ['te', 'gzip'],
  ['upgrade', 'websocket'],
  ['host', 'b'],
  ['cookie', 'a=1'],
  ['cookie', 'b=2'],
  ['Upper', 'x'],
  ['', 'x'],
  [':path', '/again'],
  [':status', '200'],
  ['x-control', 'a\u0001b'],
  ['x-line', 'a\r\nb: c'],
  ['accept', 'text/event-stream'],
  ['x-long', 'y'.repeat(20_000)],
];
const TYPES = Object.values(FRAME) as [number, ...number[]];

function block(id: string, dice: Dice): Buffer {
  const fields = Array.from({ length: dice.whole(0, 3) }, () => dice.pick(FIELDS));
  const method = dice.chance(0.6) ? 'GET' : dice.pick(METHODS);
  const head = requestBlock(method, dice.pick(PATHS));
  const whole = Buffer.concat([head, headerBlock([['x-id', `${id}-`], ...fields])]);
  return dice.chance(0.1) ? mutate(whole, dice) : whole;
}

/** Mostly requests that make sense, for there is nothing to break in front of them otherwise. */
function anyFrame(id: string, dice: Dice): Buffer {
  const stream = dice.chance(0.9) ? 1 + 2 * dice.whole(0, 4) : dice.whole(0, 2 ** 31);
  const bytes = Buffer.from(Array.from({ length: dice.whole(0, 12) }, () => dice.whole(0, 255)));
  if (dice.chance(0.4)) {
    const flags = dice.chance(0.9) ? END_HEADERS | (dice.chance(0.6) ? END_STREAM : 0) : 0;
    return frame(FRAME.headers, flags, stream, block(id, dice));
  }
  if (dice.chance(0.3)) return frame(FRAME.data, dice.whole(0, 1), stream, Buffer.from('abc'));
  if (dice.chance(0.3))
    return frame(FRAME.reset, 0, stream, Buffer.from([0, 0, 0, dice.whole(0, 13)]));
  if (dice.chance(0.3)) {
    const window = Buffer.alloc(4);
    window.writeUInt32BE(dice.pick([0, 1, 65_535, 2 ** 31 - 1] as const));
    return frame(FRAME.windowUpdate, 0, dice.chance(0.5) ? 0 : stream, window);
  }
  if (dice.chance(0.3)) {
    const setting = Buffer.alloc(6);
    setting.writeUInt16BE(dice.whole(0, 9));
    setting.writeUInt32BE(dice.pick([0, 1, 65_536, 2 ** 32 - 1] as const), 2);
    return frame(FRAME.settings, dice.whole(0, 1), dice.whole(0, 1), setting);
  }
  const type = dice.chance(0.9) ? dice.pick(TYPES) : dice.whole(0, 255);
  return frame(type, dice.whole(0, 255), stream, bytes);
}

async function play(gateway: TestGateway, round: number): Promise<void> {
  const dice = createDice(SEED * 1_000_003 + round);
  const id = tokenOf(round);
  const socket = connect({
    port: gateway.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  });
  let text = '';
  socket.on('error', () => undefined).setEncoding('latin1');
  socket.on('data', (chunk: string) => (text += chunk));
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]);
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(4);
  // A window of nothing, in some: what is answered has to wait in the gateway.
  settings.writeUInt32BE(dice.chance(0.2) ? 0 : 65_535, 2);
  const frames = Array.from({ length: dice.whole(1, 12) }, () => anyFrame(id, dice));
  let bytes = Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0, settings), ...frames]);
  if (dice.chance(0.2)) bytes = mutate(bytes, dice) as Buffer<ArrayBuffer>;
  await writeInPieces(socket, bytes, dice);
  await leave(socket, dice, true);
  const strangers = strangersIn(text, id);
  expect([`seed ${SEED}`, round, strangers]).toEqual([`seed ${SEED}`, round, []]);
}

describe(`HTTP/2 (seed ${SEED})`, () => {
  test('in front of an HTTP service', async () => {
    const gateway = await startGateway({ queueTimeoutMs: 2000, sendTimeoutMs: 5000 }, TLS);
    for (let count = 0; count < 2; count += 1) await joinServer(gateway, answerWithId);
    const first = watchGateway(gateway);
    await playRounds(ROUNDS, AT_ONCE, (round) => play(gateway, round));
    await first.settled();
    const watch = watchGateway(gateway);
    await playRounds(ROUNDS, AT_ONCE, (round) => play(gateway, ROUNDS + round));
    await watch.unharmed();
  }, 600_000);
});

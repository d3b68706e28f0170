/** HTTP/1.1 as nobody should speak it, into the gateway, with workers behind it that answer anything. */
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { startGateway, type TestGateway } from '../gateway/harness.ts';
import { joinServer } from '../gateway/peers.ts';
import { needPhp, SITE, startPhp } from '../gateway/php.ts';
import { createDice, type Dice } from '../sim/dice.ts';
import { leave, mutate, playRounds, writeInPieces } from './raw.ts';
import { answerWithId, SEED, strangersIn, TIMES, tokenOf, watchGateway } from './watch.ts';

/** What the fuzzing that found the first faults needed at most. */
const ROUNDS = 4000 * TIMES;
const AT_ONCE = 16;

const METHODS = [
  'GET',
  'POST',
  'HEAD',
  'PUT',
  'OPTIONS',
  'DELETE',
  'TRACE',
  'CONNECT',
  'M-SEARCH',
  'get',
  '',
] as const;
const TARGETS = [
  '/',
  '/slow',
  '/x?y=1',
  '/hang',
  '*',
  '/%zz',
  '//',
  'http://a/',
  '/\x7f',
  '/hello.php',
  '/file.txt',
  '/folder',
  '',
] as const;
const FIELDS = [
  'Connection: Upgrade\r\nUpgrade: websocket',
  'Connection: Upgrade\r\nUpgrade: TLS/1.2',
  'Connection: close',
  'Connection: keep-alive, X-Id',
  'Expect: 100-continue',
  'Expect: 200-ok',
  'Trailer: X',
  'TE: trailers',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Content-Length: 3',
  'Content-Length: 0',
  'Content-Length: 9999999999999999999',
  'Content-Length: -1',
  'Host: b',
  'Range: bytes=0-1',
  'If-None-Match: *',
  'Accept: text/event-stream',
  'Accept-Encoding: br;q=0, gzip',
  'Cookie: a=1\r\nCookie: b=2',
  'X-Forwarded-For: 1.2.3.4',
  'Proxy: http://x',
  `X-Long: ${'y'.repeat(9000)}`,
  'X-Empty:',
  ' folded: x',
  'no colon',
] as const;
const BODIES = [
  '',
  'abc',
  '3\r\nabc\r\n0\r\n\r\n',
  '3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n',
  '0\r\n\r\n',
  'zz\r\n',
  '5\r\nab',
] as const;

function requestOf(id: string, dice: Dice): string {
  const fields = Array.from({ length: dice.whole(0, 4) }, () => `${dice.pick(FIELDS)}\r\n`);
  const version = dice.chance(0.9)
    ? 'HTTP/1.1'
    : dice.pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/1.1 '] as const);
  const method = dice.chance(0.5) ? 'GET' : dice.pick(METHODS);
  const head = `${method} ${dice.pick(TARGETS)} ${version}\r\nHost: a\r\nX-Id: ${id}-\r\n`;
  return `${head}${fields.join('')}\r\n${dice.pick(BODIES)}`;
}

async function play(gateway: TestGateway, round: number): Promise<void> {
  const dice = createDice(SEED * 1_000_003 + round);
  const id = tokenOf(round);
  const socket = connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true });
  let text = '';
  socket.on('error', () => undefined).setEncoding('latin1');
  socket.on('data', (chunk: string) => (text += chunk));
  let bytes = Buffer.from(
    Array.from({ length: dice.whole(1, 4) }, () => requestOf(id, dice)).join(''),
    'latin1',
  );
  for (let count = dice.chance(0.5) ? dice.whole(1, 4) : 0; count > 0; count -= 1) {
    bytes = mutate(bytes, dice) as Buffer<ArrayBuffer>;
  }
  await writeInPieces(socket, bytes, dice);
  await leave(socket, dice);
  const strangers = strangersIn(text, id);
  expect([`seed ${SEED}`, round, strangers]).toEqual([`seed ${SEED}`, round, []]);
}

describe(`HTTP/1.1 (seed ${SEED})`, () => {
  test('in front of an HTTP service', async () => {
    const gateway = await startGateway({ queueTimeoutMs: 2000 });
    for (let count = 0; count < 2; count += 1) await joinServer(gateway, answerWithId);
    await playRounds(ROUNDS / 10, AT_ONCE, (round) => play(gateway, round));
    const watch = watchGateway(gateway);
    await playRounds(ROUNDS, AT_ONCE, (round) => play(gateway, round));
    await watch.unharmed();
  }, 600_000);
});

describe(`HTTP/1.1 to PHP (seed ${SEED})`, () => {
  needPhp();
  test('in front of php-cgi', async () => {
    const { root, extensions, index, frontController } = SITE;
    const php = { extensions, index, frontController, sendfileRoots: [] };
    const settings = { kind: 'fastcgi', root, php, queueTimeoutMs: 2000 } as const;
    const gateway = await startGateway(settings);
    for (let count = 0; count < 2; count += 1) {
      const { socketPath: path } = await startPhp();
      await gateway.join({ address: { kind: 'unix', path }, concurrency: 1 });
    }
    await playRounds(ROUNDS / 10, AT_ONCE, (round) => play(gateway, round));
    const watch = watchGateway(gateway);
    await playRounds(ROUNDS, AT_ONCE, (round) => play(gateway, round));
    await watch.unharmed();
  }, 600_000);
});

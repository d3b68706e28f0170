/** Answers of workers that say anything at all, over HTTP/1.1 and FastCGI, to clients of both protocols. */
import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { RECORD } from '../../src/data/gateway/fastcgi/record.ts';
import type { GatewaySettings } from '../../src/data/gateway/messages.ts';
import type { UpstreamAddress } from '../../src/data/gateway/types.ts';
import { startGateway, type TestGateway } from '../gateway/harness.ts';
import { askHttp2, openSession, send, TLS } from '../gateway/peers.ts';
import { SITE } from '../gateway/php.ts';
import { createDice, type Dice } from '../sim/dice.ts';
import { scratchFolder } from '../support/scratch.ts';
import { mutate, playRounds } from './raw.ts';
import { SEED, strangersIn, TIMES, tokenOf, watchGateway } from './watch.ts';

/** For each kind of worker and each protocol of clients. */
const ROUNDS = 2000 * TIMES;
const AT_ONCE = 16;

const STATUSES = [
  '200 OK',
  '204 No',
  '205 R',
  '304 N',
  '100 C',
  '103 E',
  '101 S',
  '999 X',
  '1000 Y',
  '0 Z',
  '500 O\u0001K',
  '200 \u00e9',
  '502',
  '',
] as const;
const FIELDS = [
  'ETag: "a"',
  'ETag: "b"',
  'Content-Type: text/plain',
  'Content-Type: text/event-stream',
  'Content-Length: 5',
  'Content-Length: 5000',
  'Content-Length: x',
  'Transfer-Encoding: chunked',
  'Connection: close',
  'Connection: Upgrade\r\nUpgrade: websocket',
  'Proxy-Connection: keep-alive',
  'Trailer: ETag',
  'Location: /x',
  'Location: http://x/\u0001',
  'Set-Cookie: a=1',
  'Set-Cookie: b=2',
  'Link: </a>; rel=preload',
  'X-Accel-Redirect: /a',
  'X-Sendfile: /etc/passwd',
  'Status: 404 Not Found',
  'Status: 100 Continue',
  'Status: abc',
  'X-Control: a\u0001b',
  'X-Bytes: \u00ff\u0080',
  ':path: /x',
  'bad name: x',
  'X-Empty:',
] as const;

function bodyOf(id: string, dice: Dice): string {
  const text = `id=${id};`;
  const chunks = `${text.length.toString(16)}\r\n${text}\r\n0\r\n`;
  return dice.pick([
    text,
    text,
    '',
    `${chunks}\r\n`,
    `${chunks}ETag: "a"\r\nETag: "b"\r\n\r\n`,
  ] as const);
}

function headOf(dice: Dice): string {
  return Array.from({ length: dice.whole(0, 4) }, () => `${dice.pick(FIELDS)}\r\n`).join('');
}

function httpAnswer(id: string, dice: Dice): Buffer {
  const body = bodyOf(id, dice);
  const status = dice.chance(0.6) ? '200 OK' : dice.pick(STATUSES);
  const length = dice.chance(0.6) ? `Content-Length: ${body.length}\r\n` : '';
  const before = dice.chance(0.1) ? 'HTTP/1.1 103 Early\r\nLink: bad\r\n\r\n' : '';
  return Buffer.from(
    `${before}HTTP/1.1 ${status}\r\n${length}${headOf(dice)}\r\n${body}`,
    'latin1',
  );
}

function record(type: number, content: Buffer): Buffer {
  const head = Buffer.from([1, type, 0, 1, 0, 0, 0, 0]);
  head.writeUInt16BE(content.length, 4);
  return Buffer.concat([head, content]);
}

function fastCgiAnswer(id: string, dice: Dice): Buffer {
  const text = Buffer.from(`${headOf(dice)}\r\n${bodyOf(id, dice)}`, 'latin1');
  const out = record(RECORD.stdout, dice.chance(0.2) ? mutate(text, dice) : text);
  const said = dice.chance(0.2)
    ? record(RECORD.stderr, Buffer.from('a warning\n'))
    : Buffer.alloc(0);
  return Buffer.concat([
    said,
    out,
    record(RECORD.stdout, Buffer.alloc(0)),
    record(RECORD.end, Buffer.alloc(8)),
  ]);
}

/** Whoever asks is answered with bytes that have its id in them, if anybody's. */
function answer(socket: Socket, asked: Buffer, make: typeof httpAnswer): void {
  const id = /c(\d+)k\d+-/.exec(asked.toString('latin1'));
  const dice = createDice(SEED * 1_000_003 + Number(id?.[1] ?? 0));
  let bytes = make(id?.[0] ?? 'none', dice);
  if (dice.chance(0.3)) bytes = mutate(bytes, dice);
  const at = dice.whole(0, bytes.length);
  socket.write(bytes.subarray(0, at));
  setTimeout(
    () => {
      if (socket.destroyed) return;
      socket.write(bytes.subarray(at));
      if (dice.chance(0.6)) socket.end();
    },
    dice.whole(0, 2),
  );
}

async function listen(server: Server): Promise<UpstreamAddress> {
  const path = join(scratchFolder(), 'worker.sock');
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { kind: 'unix', path };
}

const HTTP = (): Server =>
  createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (asked: Buffer) => answer(socket, asked, httpAnswer));
  });

const FAST_CGI = (): Server =>
  createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (asked: Buffer) => {
      if (asked[1] === RECORD.getValues)
        socket.write(record(RECORD.getValuesResult, Buffer.alloc(0)));
      if (asked[1] === RECORD.begin) answer(socket, asked, fastCgiAnswer);
    });
  });

async function ask1(gateway: TestGateway, id: string): Promise<string> {
  const path = gateway.url.endsWith('/') ? '/' : '/hello.php';
  const client = send(
    gateway.port,
    `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Id: ${id}-\r\n\r\n`,
  );
  const timer = setTimeout(() => client.socket.destroy(), GIVE_UP_MS);
  await client.closed;
  clearTimeout(timer);
  client.socket.destroy();
  return client.text();
}

/** An answer that never ends is ended by its client. */
const GIVE_UP_MS = 300;

function ask2(
  session: () => ClientHttp2Session,
): (gateway: TestGateway, id: string) => Promise<string> {
  return async (_, id) => {
    const now = session();
    const given = askHttp2(now, { ':path': '/hello.php', 'x-id': `${id}-` });
    const late = new Promise<null>((resolve) => setTimeout(resolve, GIVE_UP_MS, null));
    const got = await Promise.race([given, late]);
    if (got === null) now.destroy();
    return got === null ? '' : JSON.stringify(got);
  };
}

async function startPool(
  kind: GatewaySettings['kind'],
  tls: typeof TLS | null,
): Promise<TestGateway> {
  const { root, extensions, index, frontController } = SITE;
  const php = kind === 'http' ? null : { extensions, index, frontController, sendfileRoots: [] };
  const settings = { kind, root: kind === 'http' ? null : root, php, queueTimeoutMs: 5000 };
  const gateway = await startGateway(settings, tls);
  for (let count = 0; count < 8; count += 1) {
    const address = await listen(kind === 'http' ? HTTP() : FAST_CGI());
    await gateway.join({ address, concurrency: kind === 'http' ? 0 : 1 });
  }
  return gateway;
}

describe(`answers (seed ${SEED})`, () => {
  test.each([
    ['http', null],
    ['http', TLS],
    ['fastcgi', null],
    ['fastcgi', TLS],
  ] as const)(
    'of %s workers, TLS %o',
    async (kind, tls) => {
      const gateway = await startPool(kind, tls);
      let session: ClientHttp2Session | null = null;
      const ask =
        tls === null
          ? ask1
          : ask2(() => {
              if (session === null || session.destroyed || session.closed)
                session = openSession(gateway);
              return session;
            });
      const play = async (round: number): Promise<void> => {
        const id = tokenOf(round);
        const strangers = strangersIn(await ask(gateway, id), id);
        expect([`seed ${SEED}`, round, strangers]).toEqual([`seed ${SEED}`, round, []]);
      };
      await playRounds(ROUNDS / 10, AT_ONCE, play);
      const watch = watchGateway(gateway);
      await playRounds(ROUNDS, AT_ONCE, play);
      (session as ClientHttp2Session | null)?.destroy();
      await watch.unharmed();
    },
    600_000,
  );
});

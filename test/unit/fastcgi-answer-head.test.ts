import { describe, expect, test } from 'vitest';
import {
  createHeadReader,
  HEAD_MAX_BYTES,
  type AnswerHead,
  type HeadProgress,
} from '../../src/data/gateway/fastcgi/answer-head.ts';
import { createDice } from '../sim/dice.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

function read(...pieces: (string | Buffer)[]): HeadProgress {
  const reader = createHeadReader();
  let progress: HeadProgress = { type: 'more' };
  for (const piece of pieces) {
    progress = reader.push(Buffer.from(piece as string, 'latin1'));
    if (progress.type !== 'more') return progress;
  }
  return progress;
}

function headOf(text: string): AnswerHead {
  const progress = read(text);
  if (progress.type !== 'head') throw new Error(`no head: ${JSON.stringify(progress)}`);
  return progress.head;
}

const TYPE = 'Content-Type: text/plain\r\n';

describe('where the head ends', () => {
  test.each([
    ['CRLF', 'A: b\r\n\r\nbody'],
    ['LF alone', 'A: b\n\nbody'],
    ['LF, then CRLF', 'A: b\n\r\nbody'],
    ['CRLF, then LF', 'A: b\r\n\nbody'],
  ])('%s, split at every byte', (_, text) => {
    for (let at = 1; at < text.length; at += 1) {
      const progress = read(text.slice(0, at), text.slice(at));
      expect(progress).toMatchObject({ type: 'head', head: { headers: [['A', 'b']] } });
    }
    const whole = read(text);
    expect(whole.type === 'head' && whole.rest.toString()).toBe('body');
  });

  test('an answer may have no headers at all', () => {
    expect(read('\r\nbody')).toMatchObject({ type: 'head', head: { status: 200, headers: [] } });
  });

  test('it has a limit, however it comes', () => {
    const line = `X: ${'x'.repeat(1000)}\r\n`;
    const lines = line.repeat(Math.ceil(HEAD_MAX_BYTES / line.length) + 1);
    expect(read(`${lines}\r\n`).type).toBe('malformed');
    expect(read(...(lines.match(/[^]{1,5000}/g) ?? [])).type).toBe('malformed');
    expect(read(`X: ${'x'.repeat(HEAD_MAX_BYTES - 100)}\r\n\r\n`).type).toBe('head');
  });
});

describe('status', () => {
  test.each([
    ['Status: 404 Not Found', 404],
    ['Status: 200', 200],
    ['status: 599 x', 599],
    ['Location: https://example.org/', 302],
    ['Location: //example.org/', 302],
    ['Status: 201\r\nLocation: /made', 201],
    ['X: y', 200],
  ])('%s', (lines, status) => {
    expect(headOf(`${lines}\r\n\r\n`)).toMatchObject({ status, redirect: null });
  });

  test.each(['103 Early Hints', '99', '600', '1000', 'OK', '', '20', '200x', '-200', '2 00'])(
    'no such status: %j',
    (text) => expect(read(`Status: ${text}\r\n\r\n`).type).toBe('malformed'),
  );

  test('a local Location without a status is answered here', () => {
    expect(headOf('Location: /other?x=1\r\n\r\n').redirect).toBe('/other?x=1');
  });

  test('two that differ are two answers', () => {
    expect(read('Status: 200\r\nStatus: 500\r\n\r\n').type).toBe('malformed');
    expect(headOf('Status: 404\r\nStatus: 404\r\n\r\n').status).toBe(404);
  });
});

describe('headers', () => {
  test('those of the connection are dropped', () => {
    const head = headOf(
      `${TYPE}Connection: keep-alive, X-Foo\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5\r\n` +
        'Upgrade: h2c\r\nTrailer: X\r\nProxy-Connection: x\r\n\r\n',
    );
    expect(head.headers).toEqual([['Content-Type', 'text/plain']]);
  });

  test('cookies stay apart, and so does what was sent twice', () => {
    const head = headOf('Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Test: 1\r\nX-Test: 2\r\n\r\n');
    expect(head.headers).toEqual([
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['X-Test', '1'],
      ['X-Test', '2'],
    ]);
  });

  test.each([
    ['X-Sendfile: /etc/passwd', { kind: 'path', value: '/etc/passwd' }],
    ['X-Accel-Redirect: /a%20b', { kind: 'uri', value: '/a%20b' }],
    ['x-lighttpd-send-file: /x', { kind: 'path', value: '/x' }],
    ['X-Accel-Expires: 10', null],
    ['X-Accel-Limit-Rate: 10', null],
  ])('orders to the server never reach the client: %s', (line, sendfile) => {
    expect(headOf(`${line}\r\n\r\n`)).toMatchObject({ headers: [], sendfile });
  });

  test.each([
    ['no colon', 'HTTP/1.1 200 OK'],
    ['no name', ': value'],
    ['a space in the name', 'X Y: z'],
    ['a space before the colon', 'Transfer-Encoding : chunked'],
    ['a folded line', 'X: y\r\n more'],
    ['a lone CR', 'X: y\rSet-Cookie: evil=1'],
    ['a NUL', 'X: y\0z'],
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 2'],
    ['a length with a sign', 'Content-Length: +1'],
    ['a list of lengths', 'Content-Length: 1, 1'],
    ['a hex length', 'Content-Length: 0x10'],
    ['a length beyond all numbers', 'Content-Length: 99999999999999999999'],
    ['two locations', 'Location: https://a/\r\nLocation: https://b/'],
  ])('%s is malformed', (_, line) => {
    expect(read(`${line}\r\n\r\n`).type).toBe('malformed');
  });

  test('bytes beyond ASCII arrive as they are, a tab too', () => {
    expect(headOf('X: caf\u00c3\u00a9\tx\r\n\r\n').headers).toEqual([['X', 'caf\u00c3\u00a9\tx']]);
  });

  test('a name that every object has is a name like others', () => {
    expect(headOf('constructor: 1\r\n\r\n').headers).toEqual([['constructor', '1']]);
  });
});

test(`random heads never throw, and never let a control character through (SEED=${SEED})`, () => {
  const random = createDice(SEED);
  const words = [
    'Status',
    'Location',
    ':',
    ' ',
    '\r',
    '\n',
    '\r\n',
    '200',
    'X',
    'Content-Length',
  ] as const;
  for (let round = 0; round < 3000; round += 1) {
    let text = '';
    for (let count = random.whole(0, 19); count > 0; count -= 1) {
      text +=
        random.whole(0, 4) === 0 ? String.fromCharCode(random.whole(0, 255)) : random.pick(words);
    }
    const progress = read(text, '\r\n\r\n');
    if (progress.type !== 'head') continue;
    for (const [name, value] of progress.head.headers) {
      expect(name).toMatch(/^[!-9;-~]+$/);
      // oxlint-disable-next-line no-control-regex
      expect(value).not.toMatch(/[\r\n\0]/);
    }
    expect(progress.head.status).toBeGreaterThanOrEqual(200);
  }
});

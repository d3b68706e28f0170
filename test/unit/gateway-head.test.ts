/** Heads, fields and visitors: what two programs could understand in two ways. */
import { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { asRecord, passFields } from '../../src/data/gateway/fields.ts';
import { readHead } from '../../src/data/gateway/request-head.ts';
import {
  createTrust,
  forwardedFields,
  isClaim,
  readVisitor,
} from '../../src/data/gateway/visitor.ts';

function head(url: string, host: string | null = 'x', method = 'GET'): ReturnType<typeof readHead> {
  const rawHeaders = host === null ? [] : ['Host', host];
  const headers = host === null ? {} : { host };
  const httpVersion = host === null ? '1.0' : '1.1';
  const facts = { url, method, rawHeaders, headers, httpVersion, httpVersionMajor: 1 };
  // `headers` is an accessor of the class.
  const request = Object.create(IncomingMessage.prototype, Object.getOwnPropertyDescriptors(facts));
  return readHead(request as IncomingMessage);
}

describe('a target', () => {
  test.each([
    ['/a?b', '/a?b', 'x'],
    ['http://y:8080/a?b', '/a?b', 'y:8080'],
    ['HTTP://y', '/', 'y'],
    ['https://y?b', '/?b', 'y'],
    ['//y/a', '//y/a', 'x'],
    ['/\u00e9', '/\u00e9', 'x'],
  ])('%s is understood', (url, target, host) => {
    expect(head(url)).toEqual({ ok: true, target, host });
  });

  test('* is for OPTIONS only', () => {
    expect(head('*', 'x', 'OPTIONS')).toMatchObject({ ok: true, target: '*' });
    expect(head('http://y', 'x', 'OPTIONS')).toMatchObject({ ok: true, target: '*', host: 'y' });
    expect(head('*')).toMatchObject({ ok: false, status: 400 });
  });

  test.each([
    '',
    'a',
    '/a#b',
    '/a b',
    '/\u0000',
    '/\u007f',
    'http://',
    'http:///a',
    'http://u@y/',
    'ftp://y/',
  ])('%j is refused', (url) => expect(head(url)).toMatchObject({ ok: false, status: 400 }));
});

describe('a host', () => {
  test.each(['x', 'x:80', '[::1]', '[::1]:80', 'a-b.c_d', '127.0.0.1'])('%s is one', (host) => {
    expect(head('/', host)).toMatchObject({ ok: true, host });
  });

  test.each(['', 'a b', 'a/b', 'u@x', 'x:y', 'x:123456', '[::1', 'a,b"', 'x?'])(
    '%j is none',
    (host) => {
      expect(head('/', host)).toMatchObject({ ok: false, status: 400 });
    },
  );

  test('may be missing in HTTP/1.0', () => {
    expect(head('/', null)).toEqual({ ok: true, target: '/', host: '' });
  });
});

describe('fields', () => {
  test('of the connection stay there, cookies that HTTP/2 split are joined', () => {
    const raw = ['Connection', 'close, X-Hop, cookie', 'X-Hop', '1', 'TE', 'gzip', 'X-A', '1'];
    const more = [':path', '/', 'cookie', 'a=1', 'x-a', '2', 'cookie', 'b=2'];
    const passed = passFields([...raw, ...more], (name) => name === 'x-gone');
    expect(passed).toEqual(['X-A', '1', 'cookie', 'a=1; b=2', 'x-a', '2']);
    expect(asRecord(passed)).toEqual({ 'x-a': ['1', '2'], cookie: 'a=1; b=2' });
  });

  test('by which clients could pose as others are known in any spelling', () => {
    for (const name of ['forwarded', 'x-forwarded-for', 'x_forwarded_for', 'x-real_ip', 'proxy']) {
      expect([name, isClaim(name)]).toEqual([name, true]);
    }
    for (const name of ['x-forward', 'via', 'x-real', 'proxy-x']) expect(isClaim(name)).toBe(false);
  });
});

describe('a visitor', () => {
  const trust = createTrust(['10.0.0.0/8', 'fd00::/8', 'unix']);
  const from = (remoteAddress: string, chain?: string): string[] => {
    const headers = chain === undefined ? {} : { 'x-forwarded-for': chain };
    const { remoteAddress: client, via = [] } = readVisitor(
      { remoteAddress, encrypted: false },
      headers,
      'x',
      trust,
    );
    return [client, ...via];
  };

  test.each([
    ['the peer', '1.2.3.4', undefined, ['1.2.3.4']],
    ['not whom a stranger names', '1.2.3.4', '6.6.6.6', ['1.2.3.4']],
    ['whom a proxy names', '10.0.0.1', '6.6.6.6', ['6.6.6.6', '10.0.0.1']],
    [
      'the last one whom no proxy of ours can have sent',
      '10.0.0.1',
      '6.6.6.6, 7.7.7.7, 10.0.0.2',
      ['7.7.7.7', '10.0.0.2', '10.0.0.1'],
    ],
    ['known in IPv6', 'fd00::1', '2001:db8::1', ['2001:db8::1', 'fd00::1']],
    [
      'known with brackets and port',
      '::ffff:10.0.0.1',
      '[2001:db8::1]:80',
      ['2001:db8::1', '10.0.0.1'],
    ],
    ['known with a port', '10.0.0.1', '6.6.6.6:1234', ['6.6.6.6', '10.0.0.1']],
    ['the proxy, when it says nonsense', '10.0.0.1', 'unknown', ['10.0.0.1']],
    ['whom a proxy behind a unix socket names', '', '6.6.6.6', ['6.6.6.6']],
  ])('is %s', (_, peer, chain, expected) => expect(from(peer, chain)).toEqual(expected));

  test('is told to the app without a way to break out of the quotes', () => {
    const fields = forwardedFields({
      remoteAddress: '2001:db8::1',
      remotePort: 1,
      localAddress: '',
      localPort: 1,
      scheme: 'https',
      host: 'x:1',
      via: ['10.0.0.1'],
    });
    expect(asRecord(fields)).toEqual({
      forwarded: 'for="[2001:db8::1]";proto=https;host="x:1", for=10.0.0.1',
      'x-forwarded-for': '2001:db8::1, 10.0.0.1',
      'x-forwarded-host': 'x:1',
      'x-forwarded-proto': 'https',
    });
  });
});

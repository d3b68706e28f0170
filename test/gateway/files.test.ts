/** Files: what is sent, how, and above all what never is. */
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { request, type Dispatcher } from 'undici';
import { scratchFolder } from '../support/scratch.ts';
import { startGateway, type TestGateway } from './harness.ts';

const STYLE = 'body { color: teal }\n'.repeat(50);

let gateway: TestGateway;

async function get(
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; headers: Dispatcher.ResponseData['headers']; body: Buffer }> {
  const answer = await request(gateway.url + path, { headers, method: method as 'GET' });
  const body = Buffer.from(await answer.body.arrayBuffer());
  return { status: answer.statusCode, headers: answer.headers, body };
}

beforeEach(async () => {
  const outside = scratchFolder();
  const root = join(outside, 'public');
  mkdirSync(join(root, '.git'), { recursive: true });
  mkdirSync(join(root, 'css'));
  mkdirSync(join(root, '.well-known'));
  const write = (name: string, text: string | Buffer): void => {
    writeFileSync(join(root, name), text);
  };
  writeFileSync(join(outside, 'secret.txt'), 'secret');
  write('css/a.css', STYLE);
  write('css/a.css.gz', gzipSync(STYLE));
  write('old.css', STYLE);
  write('old.css.gz', gzipSync('stale'));
  utimesSync(join(root, 'old.css.gz'), 1, 1);
  write('page.php', '<?php echo 1;');
  write('.env', 'KEY=1');
  write('.git/config', 'secret');
  write('.well-known/security.txt', 'mailto:x');
  write('empty.txt', '');
  symlinkSync(join(outside, 'secret.txt'), join(root, 'link.txt'));
  symlinkSync(join(root, 'page.php'), join(root, 'source.txt'));
  gateway = await startGateway({ root, kind: 'http' });
  await gateway.join();
});

describe('a file', () => {
  test('has a type, a length, a validator, and can be asked for in parts', async () => {
    const whole = await get('/css/a.css');
    expect(whole.status).toBe(200);
    expect(whole.headers).toMatchObject({
      'content-type': 'text/css; charset=utf-8',
      'content-length': String(STYLE.length),
      'accept-ranges': 'bytes',
    });
    expect(String(whole.body)).toBe(STYLE);
    const etag = String(whole.headers['etag']);
    expect((await get('/css/a.css', { 'if-none-match': etag })).status).toBe(304);
    const part = await get('/css/a.css', { range: 'bytes=5-9' });
    expect([part.status, String(part.body)]).toEqual([206, STYLE.slice(5, 10)]);
    const none = await get('/css/a.css', { range: 'bytes=99999-' });
    expect([none.status, none.headers['content-range']]).toEqual([416, `bytes */${STYLE.length}`]);
    const head = await get('/css/a.css', {}, 'HEAD');
    expect([head.status, head.body.length]).toEqual([200, 0]);
    expect((await get('/empty.txt')).body.length).toBe(0);
    expect(String((await get('/.well-known/security.txt')).body)).toBe('mailto:x');
  });

  test('is sent precompressed to those who understand it, unless it is out of date', async () => {
    const packed = await get('/css/a.css', { 'accept-encoding': 'br, gzip' });
    expect(packed.headers).toMatchObject({
      'content-encoding': 'gzip',
      'content-type': 'text/css; charset=utf-8',
      vary: 'Accept-Encoding',
    });
    expect(packed.body).toEqual(gzipSync(STYLE));
    const plain = await get('/css/a.css', { 'accept-encoding': 'gzip;q=0, identity' });
    expect([plain.headers['content-encoding'], plain.headers['vary']]).toEqual([
      undefined,
      'Accept-Encoding',
    ]);
    expect(plain.headers['etag']).not.toBe(packed.headers['etag']);
    const old = await get('/old.css', { 'accept-encoding': 'gzip' });
    expect([old.headers['content-encoding'], String(old.body)]).toEqual([undefined, STYLE]);
  });

  test('that the outside must not see goes to the app, which knows nothing of it', async () => {
    for (const path of [
      '/.env',
      '/.git/config',
      '/css/../.env',
      '/%2e%2e/secret.txt',
      '/..%2fsecret.txt',
      '/css/%2e%2e/%2e%2e/secret.txt',
      '/link.txt',
      '/source.txt',
      '/page.php',
      '/page.php/x',
      '/page.php%00.txt',
      '/css/',
      '/nothing.txt',
    ]) {
      // undici would tidy the path up.
      const { status, body } = await raw(path);
      expect([path, status, body]).toEqual([path, 200, expect.stringMatching(/^id=.* worker=/)]);
    }
  });
});

async function raw(path: string): Promise<{ status: number; body: string }> {
  const { openConnection } = await import('../support/http1-connection.ts');
  const connection = openConnection(gateway);
  connection.socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  const { status, body } = await connection.readAnswer();
  connection.socket.destroy();
  return { status, body: String(body) };
}

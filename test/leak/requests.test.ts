import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { numberTemplates, readRequests } from '../../src/leak/requests.ts';

const folder = mkdtempSync(join(tmpdir(), 'cofferdam-requests-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function read(text: string) {
  const script = join(folder, `script-${(files += 1)}`);
  writeFileSync(script, text);
  return readRequests({ path: '/', method: 'GET', body: null, headers: {}, script });
}

test('lines, JSON and HAR say the same', async () => {
  const lines = await read('# cart\nGET /\nPOST /cart {"n":{{n}}}\n/plain\n');
  expect(lines.map(({ method, path }) => `${method} ${path}`)).toEqual([
    'GET /',
    'POST /cart',
    'GET /plain',
  ]);
  expect(lines[1]).toMatchObject({ body: '{"n":{{n}}}' });
  const json = await read('[{"path":"/"},{"method":"POST","path":"/cart","body":{"a":1}}]');
  expect(json[1]).toMatchObject({ method: 'POST', path: '/cart', body: '{"a":1}' });
  const har = await read(
    JSON.stringify({
      log: {
        entries: [
          {
            request: {
              method: 'GET',
              url: 'https://shop.example/search?q=a',
              headers: [
                { name: 'Host', value: 'shop.example' },
                { name: 'If-None-Match', value: '"1"' },
                { name: 'Accept', value: 'text/html' },
              ],
            },
          },
          { request: { method: 'GET', url: 'https://fonts.example/a.woff', headers: [] } },
          {
            request: {
              method: 'POST',
              url: 'https://shop.example/cart',
              headers: [],
              postData: { text: 'n={{n}}' },
            },
          },
        ],
      },
    }),
  );
  // The recorded host never becomes ours, and what the page took from others is left out.
  expect(har).toEqual([
    { method: 'GET', path: '/search?q=a', headers: { Accept: 'text/html' } },
    { method: 'POST', path: '/cart', headers: {}, body: 'n={{n}}' },
  ]);
});

test.each([
  ['', 'holds no request'],
  ['nonsense', 'line 1 is no request'],
  ['{ broken', 'is not valid JSON'],
  ['{"log":{}}', 'neither a list of requests nor a HAR'],
  ['[{"path":"http://elsewhere/"}]', 'no "path" that begins with "/"'],
  ['GET //elsewhere/x', 'names another host'],
  ['[{"path":"/\\\\elsewhere/x"}]', 'names another host'],
])('bad input %j: %s', async (text, message) => {
  await expect(read(text)).rejects.toMatchObject({ code: 'COF_BAD_VALUE' });
  await expect(read(text)).rejects.toThrow(message);
});

test('unique and identical: numbers go where the mark is, or into the query', () => {
  const plain = [{ path: '/' }, { path: '/a?b=1' }];
  expect(numberTemplates(plain, 'unique', 40).map(({ path }) => path)).toEqual([
    '/?cofferdam=40-{id}',
    '/a?b=1&cofferdam=40-{id}',
  ]);
  expect(numberTemplates(plain, 'identical', 40).map(({ path }) => path)).toEqual(['/', '/a?b=1']);
  const marked = [{ path: '/user/{{n}}', body: '{{ n }}' }];
  expect(numberTemplates(marked, 'unique', 7)).toEqual([{ path: '/user/7-{id}', body: '7-{id}' }]);
  const header = [{ path: '/', headers: { 'x-user': 'u{{n}}' } }];
  expect(numberTemplates(header, 'unique', 7)).toEqual([
    { path: '/', headers: { 'x-user': 'u7-{id}' } },
  ]);
  expect(numberTemplates(marked, 'identical', 7)).toEqual([{ path: '/user/1', body: '1' }]);
});

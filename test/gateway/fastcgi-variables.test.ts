import { beforeEach, describe, expect, test } from 'vitest';
import {
  get,
  needPhp,
  serverVariables,
  serveUpstream,
  SITE,
  startPhp,
  type PhpServer,
} from './php.ts';

let server: PhpServer;

needPhp();

beforeEach(async () => {
  server = await serveUpstream((await startPhp()).socketPath);
});

describe('CGI variables', () => {
  test('of a plain request', async () => {
    const variables = await serverVariables(server, '/vars.php?a=1&b=%20', { 'x-some-thing': 'y' });
    const root = SITE.root;
    expect(variables).toMatchObject({
      GATEWAY_INTERFACE: 'CGI/1.1',
      SERVER_PROTOCOL: 'HTTP/1.1',
      REQUEST_METHOD: 'GET',
      REQUEST_SCHEME: 'http',
      REQUEST_URI: '/vars.php?a=1&b=%20',
      QUERY_STRING: 'a=1&b=%20',
      DOCUMENT_ROOT: root,
      DOCUMENT_URI: '/vars.php',
      SCRIPT_NAME: '/vars.php',
      SCRIPT_FILENAME: `${root}/vars.php`,
      PHP_SELF: '/vars.php',
      REMOTE_ADDR: '127.0.0.1',
      SERVER_ADDR: '127.0.0.1',
      SERVER_NAME: '127.0.0.1',
      SERVER_PORT: String(server.port),
      HTTP_HOST: `127.0.0.1:${server.port}`,
      HTTP_X_SOME_THING: 'y',
      REDIRECT_STATUS: '200',
    });
    for (const absent of ['PATH_INFO', 'HTTPS', 'CONTENT_LENGTH', 'HTTP_CONNECTION']) {
      expect(variables).not.toHaveProperty(absent);
    }
  });

  test('of a path behind the script', async () => {
    expect(await serverVariables(server, '/vars.php/a%20b/c')).toMatchObject({
      SCRIPT_NAME: '/vars.php',
      PATH_INFO: '/a b/c',
      PATH_TRANSLATED: `${SITE.root}/a b/c`,
      PHP_SELF: '/vars.php/a b/c',
      REQUEST_URI: '/vars.php/a%20b/c',
      QUERY_STRING: '',
    });
  });

  test('of https', async () => {
    const secure = await serveUpstream((await startPhp()).socketPath, {
      change: (visit) => ({ ...visit, visitor: { ...visit.visitor, scheme: 'https' } }),
    });
    expect(await serverVariables(secure, '/vars.php')).toMatchObject({
      HTTPS: 'on',
      REQUEST_SCHEME: 'https',
    });
  });

  test('headers that came several times are one, cookies in their own way', async () => {
    const variables = await serverVariables(server, '/vars.php', {
      'X-List': ['a', 'b'],
      Cookie: ['c=1', 'd=2'],
      Authorization: 'Basic dXNlcjpwYXNz',
    });
    expect(variables).toMatchObject({
      HTTP_X_LIST: 'a, b',
      HTTP_COOKIE: 'c=1; d=2',
      PHP_AUTH_USER: 'user',
      PHP_AUTH_PW: 'pass',
    });
  });

  test('a front controller sees the path that was asked for', async () => {
    const front = await serveUpstream((await startPhp()).socketPath, {
      site: { frontController: 'index.php' },
    });
    const { body } = await get(front, '/some/page?x=1');
    expect(body).toBe('front /some/page?x=1 /index.php');
  });

  test('an index is found', async () => {
    expect((await get(server, '/folder/')).body).toBe('folder index /folder/index.php');
  });
});

describe('what a visitor may not do', () => {
  test('set HTTP_PROXY (httpoxy)', async () => {
    const variables = await serverVariables(server, '/vars.php', { Proxy: 'http://evil/' });
    expect(variables).not.toHaveProperty('HTTP_PROXY');
  });

  test('forge a header by an underscore', async () => {
    const headers = { X_Real_IP: '6.6.6.6', Content_Length: '7', 'X-Ok': 'y' };
    const variables = await serverVariables(server, '/vars.php', headers);
    expect(variables).not.toHaveProperty('HTTP_X_REAL_IP');
    expect(variables).not.toHaveProperty('HTTP_CONTENT_LENGTH');
    expect(variables).toMatchObject({ HTTP_X_OK: 'y' });
  });

  test('choose the host by a Host header beside an absolute target', async () => {
    const chosen = await serveUpstream((await startPhp()).socketPath, {
      change: (visit) => ({ ...visit, visitor: { ...visit.visitor, host: 'good.example:8080' } }),
    });
    expect(await serverVariables(chosen, '/vars.php', { Host: 'evil.example' })).toMatchObject({
      HTTP_HOST: 'good.example:8080',
      SERVER_NAME: 'good.example',
    });
  });

  test.each([
    ['run another file by a path behind it', '/evil.gif/x.php'],
    ['run another file', '/evil.gif'],
    ['run a dotfile', '/.secret.php'],
    ['run what is in a folder with a dot', '/.hidden/secret.php'],
    ['run a folder', '/not-a-script.php'],
    ['run what is not there', '/none.php'],
    ['leave the root', '/%2e%2e/answer.cjs'],
    ['cut the name at a NUL', '/hello.php%00.jpg'],
    ['empty PATH_INFO by a newline (CVE-2019-11043)', '/vars.php/%0Aindex.php'],
  ])('%s', async (_, path) => {
    const { status, body } = await get(server, path);
    expect([400, 404]).toContain(status);
    expect(body).not.toMatch(/ran|hello/);
    // The worker was not even asked.
    expect(server.stderr).toEqual([]);
  });

  test('pass arguments to php-cgi by the query (CVE-2012-1823, CVE-2024-4577)', async () => {
    for (const query of ['-s', '-d+allow_url_include%3d1', '%ADd+allow_url_include%3d1']) {
      expect((await get(server, `/hello.php?${query}`)).body).toBe('hello\n');
    }
  });

  test('say that the server has redirected them (CVE-2024-8927)', async () => {
    const variables = await serverVariables(server, '/vars.php', { 'Redirect-Status': '666' });
    expect(variables).toMatchObject({ REDIRECT_STATUS: '200', HTTP_REDIRECT_STATUS: '666' });
  });

  test('set php.ini values', async () => {
    const variables = await serverVariables(server, '/vars.php', {
      'PHP-VALUE': 'auto_prepend_file=/etc/passwd',
    });
    expect(variables).not.toHaveProperty('PHP_VALUE');
  });

  test('be answered twice by a script that echoes a line end into a header', async () => {
    // php-cgi refuses such a header() itself; ours is the second lock (fastcgi-peer.test.ts).
    const line = encodeURIComponent('X: y\r\nSet-Cookie: evil=1');
    const { headers } = await get(server, `/headers.php?h[]=${line}`);
    expect(headers['set-cookie']).toBeUndefined();
  });
});

test('nothing of our own environment is seen by scripts', async () => {
  const env = { PATH: '/usr/bin:/bin', SECRET_TOKEN: 'x', COFFERDAM_GATEWAY: '{}' };
  const php = await startPhp({ type: 'isolated' }, env);
  const clean = await serveUpstream(php.socketPath);
  const variables = await serverVariables(clean, '/vars.php');
  expect(variables['PATH']).toBe('/usr/bin:/bin');
  expect(Object.keys(variables).filter((name) => /SECRET|COFFERDAM|NODE/.test(name))).toEqual([]);
});

/** What protects a PHP site as `cofferdam serve` starts it, with all that is around it. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { request } from 'undici';
import { expect, test } from 'vitest';
import { workerFolderPath } from '../../src/config/paths.ts';
import { needPhp } from '../gateway/php.ts';
import type { RunningCofferdam } from '../support/cofferdam.ts';
import { phpPids, waitForPhp } from '../support/php.ts';
import { APPS_FOLDER } from '../support/processes.ts';
import { serve } from '../support/serve.ts';

needPhp();

async function serveFolder(env: Readonly<Record<string, string>> = {}): Promise<RunningCofferdam> {
  const args = ['--kind', 'php', '--root', `${APPS_FOLDER}php`, '--workers', '1', '--ops', 'off'];
  const pool = await serve(args, { env });
  await waitForPhp(pool);
  return pool;
}

/** Whoever reaches that socket runs what they like, and php-cgi makes it writable for everybody. */
test('php-cgi listens on one socket, in a folder that is ours alone, and on no port', async () => {
  const pool = await serveFolder();
  const [pid] = phpPids(pool);
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const socket = words[words.indexOf('-b') + 1] ?? '';
  expect(dirname(socket)).toBe(workerFolderPath(pool.name, process.env));
  expect(statSync(dirname(socket)).mode & 0o777).toBe(0o700);
  expect(statSync(socket).isSocket()).toBe(true);
  const ports = ['tcp', 'tcp6'].map((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8'));
  const own = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    const target = readlinkSync(join(`/proc/${pid}/fd`, fd));
    return /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? [];
  });
  expect(own.length).toBeGreaterThan(0);
  for (const inode of own) expect(ports.join('\n')).not.toMatch(new RegExp(` ${inode} `));
});

test('scripts see nothing of the environment that Cofferdam was started in', async () => {
  const pool = await serveFolder({ SECRET_TOKEN: 'x', NODE_OPTIONS: '--no-deprecation' });
  const { body } = await request(`${pool.url}/vars.php`);
  const variables = Object.keys((await body.json()) as object);
  expect(variables).toContain('PATH');
  expect(variables.filter((name) => /SECRET|NODE|COFFERDAM|NOTIFY|LISTEN/.test(name))).toEqual([]);
});

test('no path leads out of the root, to a source or to what is hidden', async () => {
  const pool = await serveFolder();
  for (const path of [
    '/evil.gif/x.php',
    '/.secret.php',
    '/.hidden/secret.php',
    '/not-a-script.php',
    '/hello.php%00.jpg',
    '/%2e%2e/answer.cjs',
    '/vars.php/%0Aindex.php',
  ]) {
    const { statusCode, body } = await request(pool.url + path);
    const text = await body.text();
    expect([path, [400, 404].includes(statusCode), text]).toEqual([
      path,
      true,
      expect.not.stringMatching(/<\?php|ran|hello/),
    ]);
  }
});

/** What strangers on the same machine can do to those who watch over an instance: nothing. */
import { chownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { controlSocketPath } from '../../src/config/paths.ts';
import { opsUrl } from '../support/ops.ts';
import { ECHO_APP, waitUntil } from '../support/processes.ts';
import { runCli } from '../support/run-cli.ts';
import { scratchFolder } from '../support/scratch.ts';
import { serve, serveEcho } from '../support/serve.ts';

/** As many as the ops listener takes. */
const CROWD = 256;

test('a crowd of idle connections does not keep a probe out', async () => {
  const pool = await serveEcho(['--ops', '127.0.0.1:0']);
  const url = new URL(await opsUrl(pool));
  const crowd: Socket[] = [];
  onTestFinished(() => crowd.forEach((socket) => socket.destroy()));
  let closed = 0;
  for (let index = 0; index < CROWD + 50; index += 1) {
    const socket = connect(Number(url.port), url.hostname);
    socket.on('error', () => undefined).once('close', () => (closed += 1));
    await once(socket, 'connect');
    // They asked once, so no limit for the first request ends them.
    socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(socket.resume(), 'data');
    crowd.push(socket);
  }
  expect((await fetch(new URL('/livez', url))).status).toBe(200);
  await waitUntil('those who asked longest ago gave way', () => closed > 40);
  expect(crowd.at(-1)?.destroyed).toBe(false);
});

test.skipIf(process.getuid?.() !== 0)(
  'a socket in the folder of a stranger is not asked',
  async () => {
    const folder = scratchFolder();
    const env = { TMPDIR: folder, XDG_RUNTIME_DIR: '' };
    const theirs = join(folder, 'cofferdam-0');
    mkdirSync(theirs);
    const server = createServer((socket) => socket.end('{"ok":true,"green":true,"reasons":[]}\n'));
    server.listen(join(theirs, 'shop.sock'));
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const ask = () => runCli(['probe', 'ready', '--name', 'shop'], env);
    expect((await ask()).code).toBe(0);
    chownSync(theirs, 65_534, 65_534);
    expect(await ask()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/belongs to somebody else[^]*COF_CONTROL_REFUSED/),
    });
  },
);

test.each([
  ['a file', (path: string) => writeFileSync(path, '')],
  ['a link that leads nowhere', (path: string) => symlinkSync('/nowhere/at/all', path)],
])('a runtime folder that is %s is told of in a sentence', async (_, make) => {
  const env = { XDG_RUNTIME_DIR: scratchFolder() };
  const folder = join(env.XDG_RUNTIME_DIR, 'cofferdam');
  expect(controlSocketPath('x', env)).toBe(join(folder, 'x.sock'));
  make(folder);
  const pool = await serve([ECHO_APP, '--ops', 'off', '--name', 'x'], { env, bare: true });
  const { code } = await pool.exited;
  expect(pool.stderr).toContain(`${folder} is no folder`);
  expect(pool.stderr).not.toContain('    at ');
  expect(code).toBe(2);
  expect(await runCli(['status', '--name', 'x'], env)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('is no folder'),
  });
  rmSync(folder);
});

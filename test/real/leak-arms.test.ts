/** A/B runs: several arms under one load, told apart; and HTTP/2, where only one of them leaks. */
import { execFile } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LOAD_ONLY } from '../support/leak-flags.ts';
import { scratchFolder, writeApp } from '../support/scratch.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Ends by its requests: a slow machine needs longer, and has as many checkpoints. */
const QUICK = ['--duration', '50s', '--rate', '400', ...LOAD_ONLY];
const FEW = ['--requests', '500', '--batch', '20', ...QUICK];
/** The leak has to stand out from the code that HTTP/2 still compiles. */
const MANY = ['--requests', '2400', '--batch', '50', ...QUICK];
const RUN_MS = 60_000;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function leak(...args: string[]): Promise<Ran> {
  return run(process.execPath, [join(ROOT, 'dist/cli/main.js'), 'leak', ...args]);
}

function run(program: string, args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd: scratchFolder(), timeout: RUN_MS };
    execFile(program, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

test(
  'switch HTTP/2 off and it stops: the example leaks with HTTP/2 only',
  async () => {
    const app = join(ROOT, 'examples/leak-http2/server.mjs');
    const ran = await leak(app, '--arm', 'http1=HTTP2=off', '--json', ...MANY);
    const [http2, http1] = JSON.parse(ran.stdout).arms;
    expect(http2).toMatchObject({ name: 'app', verdict: { kind: 'leak', signal: 'heap' } });
    expect(http1.name).toBe('http1');
    expect(http1.verdict.kind).not.toBe('leak');
    expect(http1.differences.heap.high).toBeLessThan(-500);
    expect(http2.rates.heap.low).toBeGreaterThan(500);
    expect(ran.code).toBe(1);
  },
  RUN_MS,
);

test(
  'another app, another Node, another option: one table',
  async () => {
    const node = join(scratchFolder(), 'node-other');
    symlinkSync(process.execPath, node);
    const keeps = `require('http').createServer((req, res) => {
      (globalThis.kept ??= []).push(new Array(1000).fill(req.url)); res.end(); })`;
    const app = writeApp(`${keeps}.listen(process.env.PORT);`, 'after.cjs');
    const before = writeApp(
      `require('http').createServer((req, res) => res.end()).listen(process.env.PORT);`,
      'before.cjs',
    );
    const arms = ['--baseline', before, '--arm', `other=${node} --max-semi-space-size=1`];
    const ran = await leak(app, ...arms, ...FEW);
    const version = process.version;
    expect(ran.stdout).toMatch(/^app: leak of JavaScript heap \(.* per request/m);
    expect(ran.stdout).not.toMatch(/^baseline: leak/m);
    expect(ran.stdout).toMatch(new RegExp(`^other: leak .*Node ${version}$`, 'm'));
    expect(ran.stdout).toMatch(/^ {2}app +\d.\d+ B \[.*\] +leak$/m);
    expect(ran.stdout).toMatch(/^ {2}baseline .* -\d.\d+ B \[/m);
    expect(ran.stdout).toMatch(/^ {2}other .* \(none\) /m);
    expect(ran.code).toBe(1);
  },
  RUN_MS,
);

test(
  'an arm that is about to die of its leak is stopped, the other goes on',
  async () => {
    const app = writeApp(`require('http').createServer((req, res) => {
      if (process.env.LEAKS) require('fs').openSync(__filename); res.end();
    }).listen(process.env.PORT);`);
    const cli = [process.execPath, join(ROOT, 'dist/cli/main.js'), 'leak', app];
    const args = ['--arm', 'leaks=LEAKS=1', '--json', ...FEW];
    const limited = ['-c', 'ulimit -n 300 && exec "$@"', 'sh', ...cli, ...args];
    const { stdout } = await run('sh', limited);
    const [app1, leaks] = JSON.parse(stdout).arms;
    expect(leaks.stopped).toMatch(/^1\d\d of 300 file descriptors were open$/);
    expect(leaks.verdict).toMatchObject({ kind: 'leak', signal: 'descriptors' });
    expect(leaks.death).toBe(null);
    expect(app1).toMatchObject({ stopped: null, death: null });
    expect(app1.requests).toBeGreaterThan(2 * leaks.requests);
  },
  RUN_MS,
);

test('an arm that does not start is named; so is one that no arm can be', async () => {
  const app = writeApp(
    `require('http').createServer((req, res) => res.end()).listen(process.env.PORT);`,
  );
  const broken = writeApp(`throw new Error('no database');`, 'broken.cjs');
  const ran = await leak(app, '--arm', `old=${broken}`);
  expect(ran.stderr).toContain('arm old: the app ended with code 1');
  expect(ran.code).toBe(4);
  expect(await leak(app, '--arm', '=x')).toMatchObject({ code: 2 });
  const twice = await leak(app, '--arm', 'x=A=1', '--arm', 'x=A=2');
  expect(twice.stderr).toContain('two arms are called x');
});

import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { LOAD_ONLY, SMALL_BATCHES } from '../support/leak-flags.ts';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cofferdam-leak-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const QUICK = ['--duration', '12s', ...SMALL_BATCHES];
const FEW = ['--requests', '60', '--batch', '20', ...LOAD_ONLY, '--no-report'];
const RUN_MS = 110_000;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function leak(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd: folder, timeout: RUN_MS, maxBuffer: 1 << 26 };
    execFile(process.execPath, [CLI, 'leak', ...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

/** What a checkpoint measures on Linux; the walk of malloc chunks needs glibc on x64 besides. */
const MEASURED = [
  'heapBytes',
  'heapUsedBytes',
  'heapTotalBytes',
  'externalBytes',
  'arrayBuffersBytes',
  'mallocedBytes',
  'nativeContexts',
  'detachedContexts',
  'descriptors',
  'listeners',
  'rssBytes',
  'pssBytes',
  'privateBytes',
  'anonBytes',
];

function lackingIn(sample: Readonly<Record<string, unknown>>): string[] {
  const { resources, ...numbers } = sample;
  expect(resources).toMatchObject({ TCPServerWrap: 1 });
  return MEASURED.filter((name) => typeof numbers[name] !== 'number');
}

let apps = 0;

function app(body: string): string {
  const path = join(folder, `app-${(apps += 1)}.cjs`);
  writeFileSync(
    path,
    `const http = require('node:http');\nconst kept = [];\n` +
      `const server = http.createServer((req, res) => {\n${body}\n}).listen(process.env.PORT);\n`,
  );
  return path;
}

describe('bad input: one clear message, nothing left running', () => {
  test.each([
    [['missing.js'], 2, 'missing.js'],
    [['--durration', '3s', 'x.js'], 2, 'Did you mean --duration?'],
    [['--duration', '30'], 2, 'a time with its unit'],
    [['--rate', 'many', 'x.js'], 2, 'must be a whole number'],
    [['--rate', '0', 'x.js'], 2, 'must be at least 1'],
    [['--header', 'nonsense', 'x.js'], 2, 'is not "name: value"'],
    [['one.js', 'two.js'], 2, 'one app too many'],
    [['--path'], 2, '--path needs a value'],
    [['--diff', 'one.heapsnapshot'], 2, 'two or three heap snapshots'],
    [['--diff', 'none.heapsnapshot', 'nor.heapsnapshot'], 2, 'cannot read'],
  ])('%j', async (args, code, message) => {
    const ran = await leak(...args);
    expect(ran.stderr).toContain(message);
    expect(ran.code).toBe(code);
  });

  test('an app that throws at start: exit 4 and its own words', async () => {
    const path = join(folder, 'throws.cjs');
    writeFileSync(path, `throw new Error('no database');`);
    const ran = await leak(path);
    expect(ran.code).toBe(4);
    expect(ran.stderr).toContain('no database');
  });

  test('an app that listens on nothing: exit 4 after the boot timeout', async () => {
    const path = join(folder, 'idle.cjs');
    writeFileSync(path, `setInterval(() => {}, 1000);`);
    const ran = await leak(path, '--boot-timeout', '1s');
    expect(ran.code).toBe(4);
    expect(ran.stderr).toContain('listened on nothing for 1 s');
  });

  test('an app on a unix socket only: says so', async () => {
    const path = join(folder, 'unix.cjs');
    const listen = `listen(${JSON.stringify(join(folder, 'app.sock'))})`;
    writeFileSync(path, `require('node:http').createServer(() => {}).${listen};`);
    const ran = await leak(path, '--boot-timeout', '1s');
    expect(ran.code).toBe(4);
    expect(ran.stderr).toMatch(/listened on nothing but the socket .*app\.sock for 1 s/);
  });

  test.each([
    ['res.statusCode = 404; res.end();', 'answers GET / with 404'],
    ['res.statusCode = 500; res.end();', 'answers GET / with 500'],
    [`res.writeHead(302, { location: 'http://example.com/' }); res.end();`, 'http://example.com/'],
    ['req.socket.destroy();', 'does not answer GET /'],
    [`throw new Error('no database');`, 'the app died on GET / (exit code 1: Error: no database)'],
  ])('%s', async (body, message) => {
    const ran = await leak(app(body));
    expect(ran.code).toBe(3);
    expect(ran.stderr).toContain(message);
  });
});

test('a redirect to another host is told, and nobody is asked there', async () => {
  let asked = 0;
  const other = createServer((_, response) => {
    asked += 1;
    response.end();
  });
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const location = `http://127.0.0.1:${port}/elsewhere`;
  const redirects = app(`res.writeHead(307, { location: '${location}' }); res.end();`);
  const refused = await leak(redirects);
  expect(refused.stderr).toContain(`redirects GET / to ${location}`);
  expect(refused.code).toBe(3);
  const asking = await leak(redirects, '--any-status', '--rate', '100', '--duration', '5s', ...FEW);
  expect(asking.stdout).toContain('requests at 100/s');
  expect(asked).toBe(0);
}, 30_000);

describe('an app that fails under load is undecided, and says why', () => {
  const QUICKER = ['--duration', '5s', '--rate', '200', ...LOAD_ONLY, '--no-report'];
  test.each([
    ['dies', `throw new Error('disk full');`, 'the app died (exit code 1: Error: disk full)'],
    ['answers errors', 'res.statusCode = 503;', 'the app answers with errors now (GET /: 503)'],
    [
      'refuses connections',
      'server.close(); server.closeAllConnections(); setInterval(() => {}, 1e6);',
      'the app answers no more (GET /: ECONN',
    ],
  ])(
    '%s',
    async (_, then, message) => {
      const ran = await leak(app(`if (kept.push(1) > 150) { ${then} }\nres.end();`), ...QUICKER);
      expect(ran.stdout).toContain(`Undecided: ${message}`);
      expect(ran.code).toBe(3);
    },
    RUN_MS,
  );
});

test(
  'an app that leaves requests without an answer is undecided, however calm its memory is',
  async () => {
    const hangs = app(`if (kept.push(1) > 150 && kept.length % 5 === 0) return;\nres.end();`);
    const ran = await leak(
      hangs,
      '--duration',
      '5s',
      '--rate',
      '200',
      '--rest',
      'off',
      '--no-report',
    );
    expect(ran.stdout).toMatch(/^Undecided: \d+ of \d+ requests had no answer \(\d+ hung\)/);
    expect(ran.code).toBe(3);
  },
  RUN_MS,
);

describe('a run', () => {
  test(
    'sends what a script says: methods, bodies, headers, a number for each request',
    async () => {
      const seen = join(folder, 'seen.txt');
      const script = join(folder, 'script.txt');
      writeFileSync(script, 'GET /a\nPOST /cart {"item":{{n}}}\n');
      const path = app(
        `let body = '';
        req.on('data', (chunk) => (body += chunk));
        req.on('end', () => {
          const line = [req.method, req.url, req.headers['content-type'] ?? '-', body].join(' ');
          require('node:fs').appendFileSync(${JSON.stringify(seen)}, line + '\\n');
          res.end();
        });`,
      );
      await leak(path, '--script', script, '--rate', '100', '--duration', '5s', ...FEW);
      const lines = readFileSync(seen, 'utf8').trim().split('\n');
      const posts = lines.filter((line) => line.startsWith('POST'));
      expect(new Set(posts.map((line) => line.replace(/[\d-]+}$/, '}')))).toEqual(
        new Set(['POST /cart application/json {"item":}']),
      );
      expect(new Set(posts).size).toBeGreaterThan(15);
      expect(lines.filter((line) => line === 'GET /a - ').length).toBeGreaterThan(15);
    },
    RUN_MS,
  );

  test(
    'a leak: exit 1, number, holder and line; JSON and page agree',
    async () => {
      const path = app(
        `kept.push({ at: Date.now(), text: 'x'.repeat(2000) + kept.length, list: new Array(100).fill(kept.length) });\nres.end('ok');`,
      );
      const ran = await leak(
        path,
        ...QUICK,
        '--json',
        '--report',
        'leak.html',
        '--pprof',
        'p.pb.gz',
      );
      const report = JSON.parse(ran.stdout);
      expect(report.sentence).toMatch(/^Leak of JavaScript heap: .*held by `kept`/);
      expect(ran.code).toBe(1);
      expect(report.verdict.rate.slope).toBeGreaterThan(900);
      expect(report.verdict.rate.slope).toBeLessThan(3500);
      expect(report.culprit.suspects[0]).toMatchObject({ name: 'kept', holderClass: 'Array' });
      expect(report.culprit.suspects[0].kin[0].perRequest).toBeCloseTo(1, 2);
      expect(report.culprit.allocations[0]).toMatchObject({ file: path });
      expect(lackingIn(report.samples.at(-1))).toEqual([]);
      expect(report.ruledOut.length).toBeGreaterThan(3);
      const page = readFileSync(join(folder, 'leak.html'), 'utf8');
      expect(page).toContain('<svg');
      expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org|127\.0\.0\.1)/);
      expect(readFileSync(join(folder, 'p.pb.gz')).subarray(0, 2)).toEqual(
        Buffer.from([0x1f, 0x8b]),
      );
    },
    RUN_MS,
  );

  test(
    'no leak: exit is never 1',
    async () => {
      const ran = await leak(app(`res.end('ok');`), ...QUICK, '--slow', '2s', '--no-report');
      expect(ran.stdout).not.toMatch(/^Leak/);
      expect([0, 3]).toContain(ran.code);
    },
    RUN_MS,
  );

  test(
    'an app that dies in its warm-up still gets a verdict from what was seen',
    async () => {
      const path = app(`kept.push(new Array(200_000).fill(kept.length));\nres.end('ok');`);
      const ran = await leak(
        path,
        ...QUICK,
        '--node-args',
        '--max-old-space-size=300',
        '--json',
        '--no-report',
      );
      const report = JSON.parse(ran.stdout);
      expect(report.verdict).toMatchObject({ kind: 'leak', signal: 'heap' });
      expect(report.verdict.rate.slope).toBeGreaterThan(1e6);
      expect(ran.code).toBe(1);
    },
    RUN_MS,
  );
});

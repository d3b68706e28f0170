/** PHP through the whole gateway: files, scripts, uploads, deadlines, one request per worker. */
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { request } from 'undici';
import type { GatewaySettings } from '../../src/data/gateway/messages.ts';
import { scratchFolder } from '../support/scratch.ts';
import { startGateway, type TestGateway, type WorkerOptions } from './harness.ts';
import { send, waitForStatuses } from './peers.ts';
import { needPhp, SITE, startPhp } from './php.ts';

needPhp();

async function startSite(settings: Partial<GatewaySettings> = {}): Promise<TestGateway> {
  const { root, extensions, index, frontController } = SITE;
  const php = { extensions, index, frontController, sendfileRoots: [] };
  return startGateway({ kind: 'fastcgi', root, php, spoolAboveBytes: 10_000, ...settings });
}

async function joinPhp(gateway: TestGateway, options: WorkerOptions = {}): Promise<number> {
  const { socketPath: path } = await startPhp();
  const address = { kind: 'unix', path } as const;
  return (await gateway.join({ address, concurrency: 1, warmupPath: '/hello.php', ...options })).id;
}

async function text(url: string, method = 'GET', body: string | null = null): Promise<string> {
  const answer = await request(url, { method: method as 'GET', body });
  return `${answer.statusCode} ${await answer.body.text()}`;
}

test('scripts run, files are sent, the rest is refused', async () => {
  const gateway = await startSite();
  await joinPhp(gateway);
  expect(await text(`${gateway.url}/hello.php`)).toMatch(/^200 /);
  expect(await text(`${gateway.url}/file.txt`)).toMatch(/^200 /);
  expect((await request(`${gateway.url}/folder`)).headers['location']).toBe('/folder/');
  expect(await text(`${gateway.url}/.secret.php`)).toMatch(/^404 /);
  expect(await text(`${gateway.url}/nothing`)).toMatch(/^404 /);
  // In memory, spooled, and past the limit.
  for (const bytes of [10, 300_000]) {
    const answer = await text(`${gateway.url}/count-body.php`, 'POST', 'x'.repeat(bytes));
    expect(answer).toMatch(new RegExp(`^200 .*\\b${bytes}\\b`));
  }
});

test('an offer of another protocol takes nothing from a request', async () => {
  const gateway = await startSite();
  await joinPhp(gateway);
  const offer = 'Host: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n';
  const post = send(
    gateway.port,
    `POST /count-body.php HTTP/1.1\r\n${offer}Content-Length: 3\r\n\r\na=1`,
  );
  expect(await waitForStatuses(post, 1)).toEqual(['200']);
  expect(post.text()).toMatch(/\b3\b[^]*$/);
  post.socket.write(`GET /file.txt HTTP/1.1\r\n${offer.replace('TLS/1.2', 'websocket')}\r\n`);
  expect(await waitForStatuses(post, 2)).toEqual(['200', '200']);
});

test('what is no answer is 502 for the client, and its reason in the log', async () => {
  const root = scratchFolder();
  writeFileSync(join(root, 'bad.php'), '<?php header("Status: 999 Odd");');
  const gateway = await startSite({ root });
  await joinPhp(gateway, { warmupPath: null });
  expect(await text(`${gateway.url}/bad.php`)).toBe('502 502 Bad Gateway\n');
  const { fields } = await gateway.hear('log', ({ event }) => event === 'bad_answer');
  expect(fields).toMatchObject({ script: '/bad.php', slot: expect.any(Number), method: 'GET' });
  expect(fields['detail']).toContain('999');
});

test('a body that nothing can be kept of is refused at once, and told', async () => {
  const folder = scratchFolder();
  process.env['TMPDIR'] = folder;
  onTestFinished(() => void delete process.env['TMPDIR']);
  const gateway = await startSite();
  await joinPhp(gateway);
  rmSync(folder, { recursive: true });
  // Bodies that fit in memory need no disk.
  expect(await text(`${gateway.url}/count-body.php`, 'POST', 'x'.repeat(100))).toMatch(/^200 /);
  const large = 'x'.repeat(300_000);
  expect(await text(`${gateway.url}/count-body.php`, 'POST', large)).toMatch(/^507 /);
  const { fields } = await gateway.hear('log', ({ event }) => event === 'body_not_kept');
  expect(fields).toMatchObject({ folder, detail: expect.stringContaining('ENOENT') });
});

test('a file that a script wants to be sent comes with its ranges, from allowed folders only', async () => {
  const folder = scratchFolder();
  const root = scratchFolder();
  writeFileSync(join(folder, 'report.txt'), '0123456789');
  symlinkSync('/etc/passwd', join(folder, 'link.txt'));
  writeFileSync(join(root, 'send.php'), '<?php header("X-Sendfile: " . $_GET["file"]);');
  const php = { extensions: ['.php'], index: 'index.php', frontController: null };
  const gateway = await startSite({ root, php: { ...php, sendfileRoots: [folder] } });
  await joinPhp(gateway, { warmupPath: null });
  const url = `${gateway.url}/send.php?file=${folder}/report.txt`;
  expect(await text(url, 'POST', 'a=1')).toBe('200 0123456789');
  const part = await request(url, { headers: { range: 'bytes=2-4' } });
  expect([part.statusCode, await part.body.text()]).toEqual([206, '234']);
  expect(part.headers['x-sendfile']).toBeUndefined();
  for (const file of [`${folder}/link.txt`, '/etc/passwd', `${folder}/../../etc/passwd`]) {
    expect(await text(`${gateway.url}/send.php?file=${file}`)).toMatch(/^404 /);
  }
});

test('a worker stuck in a script is named with it, and nobody is given to it any more', async () => {
  const root = scratchFolder();
  writeFileSync(join(root, 'stuck.php'), '<?php sleep(30);');
  writeFileSync(join(root, 'pid.php'), '<?php echo getmypid();');
  const gateway = await startSite({ root, requestTimeoutMs: 500 });
  const stuck = await joinPhp(gateway, { warmupPath: null });
  expect(await text(`${gateway.url}/stuck.php`)).toBe('504 504 Gateway Timeout\n');
  expect(await gateway.hear('overdue')).toMatchObject({
    worker: stuck,
    target: '/stuck.php',
    script: join(root, 'stuck.php'),
  });
  await joinPhp(gateway, { warmupPath: null });
  const pids = await Promise.all([1, 2, 3].map(() => text(`${gateway.url}/pid.php`)));
  expect(new Set(pids).size).toBe(1);
});

test('nobody gets one request more than its limit, under 200 parallel requests', async () => {
  const gateway = await startSite();
  const limits = [20, 35, 1];
  for (const requestLimit of limits) await joinPhp(gateway, { requestLimit });
  await joinPhp(gateway);
  const pids = await Promise.all(Array.from({ length: 200 }, () => text(`${gateway.url}/pid.php`)));
  const counts = new Map<string, number>();
  for (const pid of pids) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  expect([...counts.values()].sort((a, b) => a - b)).toEqual([1, 20, 35, 144]);
});

/** Metrics of a real instance: exact through recycles, never waiting, clean for promtool. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import { connect as connectNet } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { spawnCofferdam, type RunningCofferdam } from '../support/cofferdam.ts';
import { askOps, opsUrl, seriesOf } from '../support/ops.ts';
import { ECHO_APP, waitUntil } from '../support/processes.ts';
import { findTool, lacks } from '../support/tools.ts';

/** What a test left hanging is cut at its end, not waited for. */
const HURRY = ['--drain-timeout', '2s', '--kill-timeout', '500ms'];

let running: RunningCofferdam | null = null;

afterEach(async () => {
  await running?.stop();
  running = null;
});

async function serve(
  flags: readonly string[],
  env = {},
): Promise<{ url: string; readonly scrape: () => Promise<string> }> {
  running = await spawnCofferdam([ECHO_APP, '--ops', '127.0.0.1:0', ...HURRY, ...flags], {
    env,
  });
  const ops = await opsUrl(running);
  await running.waitForTold('all_ready');
  const scrape = async (): Promise<string> => (await askOps(`${ops}/metrics`)).body;
  return { url: running.url, scrape };
}

/** A connection per request, so that a worker that leaves has nothing else to finish. */
async function ask(url: string): Promise<number> {
  const response = await fetch(url, { headers: { connection: 'close' } });
  await response.text();
  return response.status;
}

const OK = 'cofferdam_requests_total{pool="app",code="2xx"}';

test('every request is counted once, whoever served it and whenever he left', async () => {
  const { url, scrape } = await serve(['--workers', '2', '--max-requests', '25', '--jitter', '0']);
  const requests = 400;
  for (let n = 0; n < requests; n += 1) expect(await ask(url)).toBe(200);
  await waitUntil('all are reported', async () => seriesOf(await scrape(), OK) >= requests);
  const text = await scrape();
  expect(seriesOf(text, OK)).toBe(requests);
  expect(seriesOf(text, 'cofferdam_request_duration_seconds_count{pool="app"}')).toBe(requests);
  const perSlot = [1, 2].map((slot) =>
    seriesOf(text, `cofferdam_worker_requests_total{pool="app",slot="${slot}"}`),
  );
  expect(perSlot.reduce((sum, count) => sum + count)).toBe(requests);
  const recycles = seriesOf(text, 'cofferdam_recycles_total{pool="app",reason="max_requests"}');
  // How many more depends on how fast the requests came while one was replaced.
  expect(recycles).toBeGreaterThan(1);
  for (const reason of ['crash', 'deadline', 'handover', 'killed']) {
    expect(seriesOf(text, `cofferdam_requests_dropped_total{pool="app",reason="${reason}"}`)).toBe(
      0,
    );
  }
  // Make before break: nobody was missing while it happened.
  expect(seriesOf(text, 'cofferdam_capacity_lost_worker_seconds_total{pool="app"}')).toBe(0);
});

test('classes of answers, aborted ones, and a crash with what it dropped', async () => {
  const { url, scrape } = await serve(['--workers', '2']);
  const abort = new AbortController();
  const slow = fetch(`${url}/slow?ms=60000`, { signal: abort.signal }).catch(() => null);
  const inFlight = 'cofferdam_requests_in_flight{pool="app"}';
  await waitUntil('it is in flight', async () => seriesOf(await scrape(), inFlight) === 1);
  abort.abort();
  await slow;
  const aborted = 'cofferdam_requests_total{pool="app",code="aborted"}';
  await waitUntil('it is aborted', async () => seriesOf(await scrape(), aborted) === 1);
  fetch(`${url}/slow?ms=60000`).catch(() => null);
  await waitUntil('another one is', async () => seriesOf(await scrape(), inFlight) === 1);
  for (const { pid } of running?.told('worker_ready') ?? []) process.kill(pid, 'SIGKILL');
  const dropped = 'cofferdam_requests_dropped_total{pool="app",reason="crash"}';
  await waitUntil('the loss is told', async () => seriesOf(await scrape(), dropped) === 1);
  expect(seriesOf(await scrape(), 'cofferdam_crashes_total{pool="app"}')).toBe(2);
});

test('gauges of memory, lag and the queue in the kernel tell what is going on', async () => {
  const { url, scrape } = await serve(['--workers', '1', '--max-memory', '1GiB']);
  for (let n = 0; n < 20; n += 1) await ask(`${url}/leak?kb=1024`);
  const memory = (kind: string): string =>
    `cofferdam_worker_memory_bytes{pool="app",slot="1",kind="${kind}"}`;
  await waitUntil('the leak is seen', async () => {
    return seriesOf(await scrape(), memory('external')) > 20 * 2 ** 20;
  });
  const text = await scrape();
  expect(seriesOf(text, memory('rss'))).toBeGreaterThan(seriesOf(text, memory('private')));
  expect(seriesOf(text, 'cofferdam_worker_floor_bytes{pool="app",slot="1"}')).toBeGreaterThan(
    2 ** 20,
  );
  expect(seriesOf(text, 'cofferdam_worker_memory_limit_bytes{pool="app"}')).toBe(2 ** 30);

  const blocked = ask(`${url}/block?ms=5000`);
  const waiting: Promise<number>[] = [];
  const depth = 'cofferdam_queue_depth{pool="app"}';
  await waitUntil('some wait', async () => {
    // Those that come before the block begins are accepted.
    waiting.push(ask(url));
    return seriesOf(await scrape(), depth) >= 3;
  });
  await Promise.all([blocked, ...waiting]);
  const lag = 'cofferdam_worker_loop_lag_seconds{pool="app",slot="1"}';
  await waitUntil('the block is seen', async () => seriesOf(await scrape(), lag) > 2);
});

test('HTTP/2 streams count like any other request', async () => {
  const { url, scrape } = await serve(['--workers', '1'], { PROTOCOL: 'http2' });
  const session = connect(url, { rejectUnauthorized: false });
  const streams = Array.from({ length: 7 }, () => session.request({ ':path': '/slow?ms=30' }));
  await Promise.all(streams.map((stream) => once(stream.resume(), 'close')));
  const cut = session.request({ ':path': '/slow?ms=60000' });
  cut.on('error', () => {});
  const inFlight = 'cofferdam_requests_in_flight{pool="app"}';
  await waitUntil('it is in flight', async () => seriesOf(await scrape(), inFlight) === 1);
  cut.close(constants.NGHTTP2_CANCEL);
  const aborted = 'cofferdam_requests_total{pool="app",code="aborted"}';
  await waitUntil('all are told', async () => seriesOf(await scrape(), aborted) === 1);
  session.destroy();
  expect(seriesOf(await scrape(), OK)).toBe(7);
});

test('pipelined requests each have their own duration', async () => {
  const { url, scrape } = await serve(['--workers', '1']);
  const socket = connectNet(Number(new URL(url).port), '127.0.0.1');
  socket.resume();
  const request = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;
  socket.write(request('/slow?ms=400'));
  // The second starts long after the first and ends long after it.
  await sleep(300);
  socket.write(request('/slow?ms=800'));
  await waitUntil('both are answered', async () => seriesOf(await scrape(), OK) === 2);
  socket.destroy();
  const text = await scrape();
  const bucket = (le: string): string =>
    `cofferdam_request_duration_seconds_bucket{pool="app",le="${le}"}`;
  expect(seriesOf(text, bucket('0.25'))).toBe(0);
  expect(seriesOf(text, 'cofferdam_request_duration_seconds_count{pool="app"}')).toBe(2);
  expect(seriesOf(text, 'cofferdam_request_duration_seconds_sum{pool="app"}')).toBeGreaterThan(
    1.15,
  );
});

test.skipIf(lacks('promtool'))('promtool finds nothing to complain about', async () => {
  const { url, scrape } = await serve(['--workers', '2', '--health-path', '/health']);
  await ask(url);
  const { status, stdout, stderr } = spawnSync(findTool('promtool') ?? '', ['check', 'metrics'], {
    input: await scrape(),
    encoding: 'utf8',
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
});

test('a scraper is told its format, and stuck workers do not keep it waiting', async () => {
  const { url } = await serve(['--workers', '2', '--unresponsive-timeout', 'off']);
  const ops = `${await opsUrl(running!)}/metrics`;
  const accept = 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5';
  expect((await askOps(ops)).type).toContain('version=0.0.4');
  expect((await askOps(ops, { headers: { accept } })).type).toContain('openmetrics-text');
  const blocked = Array.from({ length: 6 }, () => ask(`${url}/block?ms=3000`));
  // Sooner than any worker could answer.
  const { tookMs } = await askOps(ops, { timeoutMs: 2900 });
  expect(tookMs).toBeLessThan(2900);
  await Promise.all(blocked);
}, 60_000);

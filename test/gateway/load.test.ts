/** Under load while workers join, drain and die: nothing is lost but what a dying worker held. */
import { request } from 'undici';
import { describe, expect, test } from 'vitest';
import { startClients, type ClientKind } from '../support/clients.ts';
import { startEventReaders, startWebSockets } from '../support/long-lived-clients.ts';
import { NASTY_HABITS, startNastyClients } from '../support/nasty-client.ts';
import { failureClasses, NO_FAILURES } from '../support/tally.ts';
import { waitUntil } from '../support/processes.ts';
import { replaceWorker, startGateway, type TestWorker } from './harness.ts';

const ROUNDS = 4;

describe('workers that come and go', () => {
  test.each<ClientKind>(['raw', 'undici'])('lose no request of %s', async (kind) => {
    const gateway = await startGateway();
    let workers = [await gateway.join(), await gateway.join()];
    const clients = startClients(kind, gateway, { thinkMs: 1 });
    for (let round = 0; round < ROUNDS; round += 1) {
      const [old, ...others] = workers as [TestWorker, TestWorker];
      const before = clients.tally.ok;
      workers = [...others, await replaceWorker(gateway, old)];
      await waitUntil('some more answers', () => clients.tally.ok > before + 20);
    }
    const tally = await clients.stop();
    expect(failureClasses(tally)).toEqual(NO_FAILURES);
    expect(tally.workers.size).toBe(ROUNDS + 2);
  });

  test('lose no request of clients with bad habits', async () => {
    const gateway = await startGateway();
    const worker = await gateway.join();
    // A client that closes its half counts as gone, as it does with nginx: otherwise nobody could
    // see that those who wait in the queue have left.
    const habits = NASTY_HABITS.filter((habit) => habit !== 'half-open');
    const clients = startNastyClients(gateway, { clients: 8, habits });
    const next = await replaceWorker(gateway, worker);
    await waitUntil('all habits', () => clients.tally.ok > 100);
    await replaceWorker(gateway, next);
    expect(failureClasses(await clients.stop())).toEqual(NO_FAILURES);
  });
});

describe('a worker that dies', () => {
  test('takes only what it held and must not be repeated', async () => {
    const gateway = await startGateway();
    await gateway.join();
    const clients = startClients('raw', gateway, { paths: ['GET /', 'GET /slow?ms=10'] });
    for (let round = 0; round < 5; round += 1) {
      const victim = await gateway.join();
      await waitUntil('the victim serves', () => clients.tally.workers.has(victim.pid));
      await victim.kill();
      gateway.send({ type: 'gone', worker: victim.id });
    }
    // All of them are GET without an answer yet: each is asked again at the other worker.
    expect(failureClasses(await clients.stop())).toEqual(NO_FAILURES);
    const { queue } = await gateway.hear('queue', (message) => message.queue.retried > 0);
    expect(queue.rejected).toEqual([0, 0, 0, 0]);
  });

  test('is avoided until it answers again, although nobody is less busy', async () => {
    const gateway = await startGateway();
    const dead = await gateway.join();
    await gateway.join();
    await dead.kill();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => request(gateway.url, { method: 'POST', body: 'x' })),
    );
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(answers.map(() => 200));
    for (const { body } of answers) await body.dump();
  });

  test('ends a request that must not be repeated with 502 and a reason', async () => {
    const gateway = await startGateway();
    await gateway.join();
    const { statusCode, body } = await request(`${gateway.url}/exit`, { method: 'POST' });
    expect([statusCode, await body.text()]).toEqual([502, '502 Bad Gateway\n']);
    const { fields } = await gateway.hear('log', ({ event }) => event === 'request_failed');
    expect(fields).toMatchObject({
      method: 'POST',
      target: '/exit',
      stage: 'unanswered',
      tries: 1,
    });
    expect(fields['reason']).toMatch(/hang up|reset/i);
  });

  test('in the middle of an answer cuts it, so that nobody takes half for the whole', async () => {
    const gateway = await startGateway();
    const worker = await gateway.join();
    const { body } = await request(`${gateway.url}/download?bytes=500000&ms=50`);
    body.once('data', () => void worker.kill());
    await expect(body.text()).rejects.toThrow();
  });
});

test('who waits for a second worker has one deadline for both waits', async () => {
  const gateway = await startGateway({ queueTimeoutMs: 8000 });
  const worker = await gateway.join({ concurrency: 1 });
  const held = request(`${gateway.url}/slow?ms=6000`);
  await gateway.hear('report', ({ report }) => report.inFlight === 1);
  // It waits for five seconds at least, and then for the rest of its eight.
  const waiting = request(`${gateway.url}/slow?ms=60000`);
  await (await held).body.dump();
  await gateway.hear('report', ({ report }) => report.requests === 1 && report.inFlight === 1);
  const from = performance.now();
  await worker.kill();
  const { statusCode, body } = await waiting;
  await body.dump();
  expect(statusCode).toBe(503);
  expect(performance.now() - from).toBeLessThan(6000);
});

describe('long-lived connections', () => {
  test('stay with their worker until they are cut', async () => {
    const gateway = await startGateway();
    const worker = await gateway.join();
    const sockets = startWebSockets(gateway.url, 2);
    const readers = startEventReaders(gateway.url, 2);
    await waitUntil('all talk', () => sockets.tally.ok > 4 && readers.tally.ok > 4);
    const { report } = await gateway.hear(
      'report',
      (message) => message.worker === worker.id && message.report.longLived === 4,
    );
    expect(report.inFlight).toBe(4);
    await gateway.join();
    gateway.send({ type: 'drain', worker: worker.id, deadlineMs: 1, longDeadlineMs: 60_000 });
    gateway.send({ type: 'cut', worker: worker.id, scope: 'requests' });
    const { ok } = sockets.tally;
    await waitUntil('they go on', () => sockets.tally.ok > ok + 4);
    gateway.send({ type: 'cut', worker: worker.id, scope: 'all' });
    const { result } = await gateway.hear('drained');
    expect(result).toEqual({ moved: 0, cutRequests: 0, cutLongLived: 4 });
    await Promise.all([sockets.stop(), readers.stop()]);
  });
});

describe('the limit of requests', () => {
  test('is told at once when the replacement shall begin, and the worker serves on', async () => {
    const gateway = await startGateway();
    const { id } = await gateway.join({ requestLimit: 5, noticeAt: 2 });
    const ask = async (): Promise<number> => {
      const { statusCode, body } = await request(gateway.url);
      await body.dump();
      return statusCode;
    };
    expect([await ask(), await ask()]).toEqual([200, 200]);
    const { report } = await gateway.hear('report', ({ early }) => early === true);
    expect(report).toMatchObject({ requests: 2 });
    expect([await ask(), await ask(), await ask()]).toEqual([200, 200, 200]);
    await gateway.hear('spent', ({ worker }) => worker === id);
  });

  test('is exact under 200 parallel requests', async () => {
    const gateway = await startGateway();
    const limits = [7, 50, 64, 1];
    const workers = await Promise.all(limits.map((requestLimit) => gateway.join({ requestLimit })));
    const sink = await gateway.join();
    const pids = await Promise.all(
      Array.from({ length: 400 }, async (_, index) => {
        const path = index % 3 === 0 ? '/slow?ms=5' : '/';
        const { headers, body } = await request(`${gateway.url}${path}`);
        await body.dump();
        return Number(headers['x-worker']);
      }),
    );
    const served = (pid: number): number => pids.filter((each) => each === pid).length;
    expect(workers.map(({ pid }) => served(pid))).toEqual(limits);
    expect(served(sink.pid)).toBe(400 - 122);
    for (const { id } of workers) await gateway.hear('spent', ({ worker }) => worker === id);
  });
});

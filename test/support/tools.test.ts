/** The foreign clients and the long-lived ones, on healthy and on dying servers. */
import { afterEach, expect, test } from 'vitest';
import { startClients } from './clients.ts';
import { runH2load, runWrk } from './load-tools.ts';
import { startEventReaders, startWebSockets } from './long-lived-clients.ts';
import { startNginx } from './nginx.ts';
import { killOne, startBareApp, waitUntil } from './processes.ts';
import { failureClasses, failuresOf, NO_FAILURES } from './tally.ts';
import { lacks } from './tools.ts';

type BareApp = Awaited<ReturnType<typeof startBareApp>>;

let app: BareApp;

afterEach(() => app.stop());

test.skipIf(lacks('wrk'))('wrk counts what went well and what broke', async () => {
  // A busy machine has answered so many in far less than the second, too.
  app = await startBareApp({ EXIT_AFTER: '200' });
  const url = `http://127.0.0.1:${app.port}/`;
  const tally = await runWrk({ url, seconds: 1, connections: 4 });
  expect(tally.ok).toBeGreaterThan(100);
  expect(tally.reset + tally.refused).toBeGreaterThan(0);
});

test.skipIf(lacks('wrk'))('wrk without keep-alive: all is well', async () => {
  app = await startBareApp();
  const url = `http://127.0.0.1:${app.port}/`;
  const tally = await runWrk({ url, seconds: 1, connections: 4, close: true });
  expect(tally.ok).toBeGreaterThan(100);
  expect(failureClasses(tally)).toEqual(NO_FAILURES);
});

test.skipIf(lacks('h2load'))('h2load: all is well, and a crash is counted', async () => {
  app = await startBareApp({ PROTOCOL: 'http2' });
  const url = `https://127.0.0.1:${app.port}/`;
  const well = await runH2load({ url, seconds: 1 });
  expect(well.ok).toBeGreaterThan(100);
  expect(failureClasses(well)).toEqual(NO_FAILURES);
  await app.stop();

  app = await startBareApp({ PROTOCOL: 'http2', EXIT_AFTER: '100' });
  const badly = await runH2load({ url: `https://127.0.0.1:${app.port}/`, seconds: 1 });
  expect(failuresOf(badly)).toBeGreaterThan(0);
});

test.skipIf(lacks('nginx'))(
  'nginx passes answers through, and 502s when the app is gone',
  async () => {
    app = await startBareApp();
    const nginx = await startNginx(app.port);
    const run = startClients('raw', { url: nginx.url });
    try {
      await waitUntil('requests', () => run.tally.ok > 100);
      expect(failureClasses(run.tally)).toEqual(NO_FAILURES);
      await app.stop();
      await waitUntil('a 502', () => run.tally.notes.some((note) => note.includes('502')));
    } finally {
      await run.stop();
      await nginx.stop();
    }
  },
);

test.each([
  ['WebSockets', startWebSockets],
  ['event streams', startEventReaders],
])('%s: messages are checked, a cut is a reset', async (_, start) => {
  app = await startBareApp();
  const run = start(`http://127.0.0.1:${app.port}`, 2);
  try {
    await waitUntil('messages', () => run.tally.ok > 10);
    expect(run.open).toBe(2);
    expect(failureClasses(run.tally)).toEqual(NO_FAILURES);
    killOne(app.pid);
    await waitUntil('both cuts', () => run.tally.reset >= 2);
    expect(run.goodbyes).toBe(0);
  } finally {
    await run.stop();
  }
});

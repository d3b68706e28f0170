/** The live page behind a running Cofferdam, fed over its control socket. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { controlSocketPath } from '../../src/config/paths.ts';
import type { Told } from '../../src/control/types.ts';
import type { createDashboard as Create, Dashboard } from '../../src/dashboard/dashboard.ts';
import type { PageStatus } from '../../src/dashboard/wire.ts';

/** Built, because the browser gets the script that stands beside it. */
const MODULE = new URL('../../dist/dashboard/dashboard.js', import.meta.url).href;

/** Status is asked for so often; the page looks once a second. */
const POLL_MS = 250;

export interface ServedPage {
  readonly url: string;
  readonly port: number;
  readonly dashboard: Dashboard;
  close(): Promise<void>;
}

/** Serves a dashboard on a free port of the loopback device. */
export async function servePage(
  options: Parameters<typeof Create>[0],
  port = 0,
): Promise<ServedPage> {
  const { createDashboard } = (await import(MODULE)) as { createDashboard: typeof Create };
  const dashboard = createDashboard(options);
  const server = createServer((request, response) => {
    if (!dashboard.handle(request, response)) response.writeHead(404).end('elsewhere');
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    port: address.port,
    dashboard,
    async close() {
      dashboard.close();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Resolves once the first status is there. */
export async function servePageOf(name: string): Promise<ServedPage> {
  const path = controlSocketPath(name, process.env);
  const questions = connect(path);
  const events = connect(path);
  let latest: PageStatus | null = null;
  const ask = (): void => void questions.write('{"command":"status"}\n');
  const answered = new Promise<PageStatus>((resolve) => {
    createInterface(questions).on('line', (line) => {
      const { status } = JSON.parse(line) as { status: PageStatus };
      latest = status;
      resolve(status);
    });
  });
  ask();
  const first = await answered;
  const timer = setInterval(ask, POLL_MS);
  const page = await servePage({ status: () => latest ?? first, now: () => Date.now() });
  const { dashboard } = page;
  createInterface(events).on('line', (line) => {
    const event = JSON.parse(line) as Told | { readonly ok: boolean };
    if ('event' in event) dashboard.told(event);
  });
  events.write('{"command":"events"}\n');
  return {
    ...page,
    async close() {
      clearInterval(timer);
      questions.destroy();
      events.destroy();
      await page.close();
    },
  };
}

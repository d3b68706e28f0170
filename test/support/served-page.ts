/** The live page by itself, in this very process, without a pool behind it. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { createDashboard as Create, Dashboard } from '../../src/dashboard/dashboard.ts';

/** Built, because the browser gets the script that stands beside it. */
const MODULE = new URL('../../dist/dashboard/dashboard.js', import.meta.url).href;

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

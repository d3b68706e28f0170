/** A tiny real HTTP server that turns requests into visits, as the front of the gateway does. */
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import type { ForwardResult, Visit } from '../../src/data/gateway/types.ts';

export interface VisitServer {
  readonly port: number;
  /** What became of each visit, in the order of their ends. */
  readonly results: ForwardResult[];
  /** Aborts the visits in flight as the gateway's clock would; says how many. */
  expire(): number;
}

/** Ends with the test. Bodies are held back whole unless `body` says otherwise. */
export async function serveVisits(
  forward: (visit: Visit) => Promise<ForwardResult>,
  change: (visit: Visit) => Visit = (visit) => visit,
  protocol: 'http1' | 'http2' = 'http1',
): Promise<VisitServer> {
  const results: ForwardResult[] = [];
  const controllers = new Set<AbortController>();
  let visits = 0;
  const serve = (request: Visit['request'], response: Visit['response']): void => {
    const controller = new AbortController();
    controllers.add(controller);
    response.on('close', () => {
      if (!response.writableFinished) controller.abort('client_gone');
      controllers.delete(controller);
    });
    visits += 1;
    void visitOf(visits, request, response, controller.signal)
      .then((visit) => forward(change(visit)))
      .then((result) => {
        results.push(result);
        // As the gateway would: who has nothing yet hears that it failed.
        if (result.type !== 'failed' || response.headersSent) return;
        response.statusCode = 502;
        response.end();
      });
  };
  const server = protocol === 'http1' ? createServer(serve) : createHttp2Server(serve);
  await listen(server);
  onTestFinished(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    results,
    expire() {
      controllers.forEach((controller) => controller.abort('deadline'));
      return controllers.size;
    },
  };
}

// --- internal ---

async function visitOf(
  id: number,
  request: Visit['request'],
  response: Visit['response'],
  signal: AbortSignal,
): Promise<Visit> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const { socket } = request;
  return {
    id,
    request,
    response,
    method: request.method ?? 'GET',
    target: request.url ?? '/',
    visitor: {
      remoteAddress: socket.remoteAddress ?? '',
      remotePort: socket.remotePort ?? 0,
      localAddress: socket.localAddress ?? '',
      localPort: socket.localPort ?? 0,
      scheme: 'http',
      host: request.headers.host ?? '',
    },
    body: { length: body.length, replayable: true, open: () => Readable.from(slices(body)) },
    signal,
  };
}

/** As a spool file would be read. */
function* slices(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
}

/**
 * The ops listener: probes, metrics, status and the page, read-only, on a port of its own. It is in
 * the supervisor's room because it holds a socket; what it says is made in `probes` and `metrics`.
 * Every answer comes from memory, except the app's own health check, which has a bound.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { OpsAddress } from '../config/ops-address.ts';
import { CofferdamError } from '../errors.ts';
import { CONTENT_TYPES, negotiate, type Format } from '../metrics/exposition.ts';
import { PROBE_PATHS, type Answer } from '../probes/answers.ts';
import type { Probe } from '../probes/probes.ts';
import { isTrustedHost } from './trusted-host.ts';

/** What the app answered to its health check. */
export interface HealthAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface OpsOptions {
  readonly address: OpsAddress;
  probe(probe: Probe, verbose: boolean): Answer;
  metrics(format: Format): string;
  /** For `/status`, as JSON. */
  status(): unknown;
  /** Null when this is no health path. */
  health(path: string): Promise<HealthAnswer> | null;
  /** The page: true when it took the request. Null: there is none. */
  readonly page: { handle(request: IncomingMessage, response: ServerResponse): boolean } | null;
}

export interface OpsServer {
  /** What a person can paste. */
  readonly url: string;
  close(): void;
}

/** Rejects with COF_OPS_ADDRESS when it cannot listen there. */
export async function createOpsServer(options: OpsOptions): Promise<OpsServer> {
  const { host, port } = options.address;
  const server = createServer(LIMITS, (request, response) => handle(request, response, options));
  boundConnections(server);
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === null ? {} : { host }) }, () => {
      server.off('error', reject);
      // Its socket cannot fail any more, and nothing may end the supervisor.
      server.on('error', () => {});
      resolve();
    });
  }).catch((cause: NodeJS.ErrnoException) => {
    const where = `${host ?? '*'}:${port}`;
    throw new CofferdamError('COF_OPS_ADDRESS', `the ops listener: ${where}: ${cause.message}`, {
      cause,
    });
  });
  return {
    url: urlOf(server),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

// --- internal ---

/** Kubernetes, a scraper, a few people with the page open; more is a client that loops. */
const CONNECTIONS_MAX = 256;

/**
 * Past the bound whoever asked longest ago gives way: a client that only holds connections must not
 * keep a probe out.
 */
function boundConnections(server: Server): void {
  const open = new Set<Socket>();
  const touch = (socket: Socket): void => {
    open.delete(socket);
    open.add(socket);
  };
  server.on('connection', (socket) => {
    const [oldest] = open;
    if (open.size >= CONNECTIONS_MAX) oldest?.destroy();
    touch(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.on('request', ({ socket }) => touch(socket));
}

/** Who asks has a line to say; slow and idle ones must not use up the connections. */
const LIMITS = {
  headersTimeout: 5000,
  requestTimeout: 5000,
  connectionsCheckingInterval: 1000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16 * 1024,
} as const;

const NO_STORE = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;

function handle(request: IncomingMessage, response: ServerResponse, options: OpsOptions): void {
  const { url = '/', method } = request;
  const cut = url.indexOf('?');
  const path = cut === -1 ? url : url.slice(0, cut);
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return send(request, response, { status: 405, type: 'text/plain', body: 'read-only\n' });
  }
  const probe = Object.hasOwn(PROBE_PATHS, path) ? PROBE_PATHS[path] : undefined;
  if (probe !== undefined) {
    const isVerbose = cut !== -1 && /[?&]verbose(?:[=&]|$)/.test(url.slice(cut));
    return send(request, response, options.probe(probe, isVerbose));
  }
  const health = options.health(path);
  if (health !== null) return forward(request, response, health);
  if (!isTrustedHost(request.headers.host, request.socket.localAddress ?? '')) {
    const body = 'ask for it by address, or by the name localhost\n';
    return send(request, response, { status: 403, type: 'text/plain', body });
  }
  if (path === '/metrics') {
    const format = negotiate(request.headers.accept);
    const body = options.metrics(format);
    return send(request, response, { status: 200, type: CONTENT_TYPES[format], body });
  }
  if (path === '/status') {
    const body = `${JSON.stringify(options.status())}\n`;
    return send(request, response, { status: 200, type: 'application/json', body });
  }
  if (options.page?.handle(request, response) === true) return;
  send(request, response, { status: 404, type: 'text/plain', body: 'not here\n' });
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, body }: HealthAnswer,
): void {
  // As bytes once: a long text would be measured, and then be turned into bytes while it is sent.
  const bytes = Buffer.from(body);
  response.writeHead(status, {
    ...NO_STORE,
    'content-type': type,
    'content-length': bytes.length,
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

function forward(
  request: IncomingMessage,
  response: ServerResponse,
  health: Promise<HealthAnswer>,
): void {
  health.then(
    (answer) => send(request, response, answer),
    (error: unknown) => {
      const body = `${error instanceof Error ? error.message : String(error)}\n`;
      send(request, response, { status: 503, type: 'text/plain', body });
    },
  );
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') return String(address);
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

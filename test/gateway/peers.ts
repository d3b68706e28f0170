/** Peers of the gateway that say just what a test wants: clients byte by byte, workers inside it. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { waitUntil } from '../support/processes.ts';
import { TEST_CA } from '../support/test-ca.ts';
import type { TestGateway, WorkerOptions } from './harness.ts';

const TLS_FOLDER = fileURLToPath(new URL('../apps/tls/', import.meta.url));
export const TLS = { certFile: `${TLS_FOLDER}cert.pem`, keyFile: `${TLS_FOLDER}key.pem` };

async function joinAt(gateway: TestGateway, server: Server, options: WorkerOptions): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  await gateway.join({ address: { kind: 'tcp', host: '127.0.0.1', port }, ...options });
}

/** A worker inside the test. */
export async function joinServer(
  gateway: TestGateway,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  options: WorkerOptions = {},
): Promise<void> {
  const server = createServer(handle);
  onTestFinished(() => server.closeAllConnections());
  await joinAt(gateway, server, options);
}

/** A worker that answers each request with the bytes for its path. */
export async function joinBytes(
  gateway: TestGateway,
  answerTo: (path: string) => string,
  options: WorkerOptions = {},
): Promise<void> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (head) => {
      const bytes = answerTo(head.toString('latin1').split(' ')[1] ?? '');
      socket.write(bytes, 'latin1');
      if (!/^content-length:|^transfer-encoding:/im.test(bytes)) socket.end();
    });
  });
  await joinAt(gateway, server, options);
}

export interface RawClient {
  readonly socket: Socket;
  /** All that came so far. */
  readonly text: () => string;
  /** Statuses of the answers that came so far. */
  readonly statuses: () => string[];
  readonly closed: Promise<void>;
}

/** Sends the bytes and hears all that comes back. */
export function send(port: number, bytes: string): RawClient {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  const closed = new Promise<void>((resolve) => {
    socket.once('end', resolve).once('close', () => resolve());
  });
  socket.write(bytes, 'latin1');
  return {
    socket,
    text: () => text,
    statuses: () => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status ?? ''),
    closed,
  };
}

export async function waitForStatuses(client: RawClient, count: number): Promise<string[]> {
  await waitUntil(`${count} answers`, () => client.statuses().length >= count);
  return client.statuses();
}

export function openSession(gateway: TestGateway): ClientHttp2Session {
  const session = connectHttp2(gateway.url, { ca: TEST_CA });
  session.on('error', () => undefined);
  onTestFinished(() => session.destroy());
  return session;
}

export interface Http2Answer {
  readonly status: number | string;
  readonly headers: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
  readonly body: string;
}

/** `status` is the error's code where there was no answer. */
export function askHttp2(
  session: ClientHttp2Session,
  fields: Record<string, string>,
  body?: string,
): Promise<Http2Answer> {
  return new Promise((resolve) => {
    const stream = session.request(fields, { endStream: body === undefined });
    let status: number | string = 'none';
    let headers = {};
    let trailers = {};
    let text = '';
    stream.on('response', (head) => {
      status = head[':status'] ?? 0;
      headers = head;
    });
    stream.on('trailers', (fields) => (trailers = fields));
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    stream.on('error', (error: NodeJS.ErrnoException) => (status = error.code ?? error.message));
    stream.on('close', () => resolve({ status, headers, trailers, body: text }));
    if (body !== undefined) stream.end(body);
  });
}

/** How many descriptors the gateway has open. */
export function descriptorsOf({ pid }: TestGateway): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

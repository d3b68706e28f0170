/**
 * The warm-up request: made inside the worker, past the shared socket (where any sibling could
 * answer it), over a private loopback port whose connections are given to the app's own server.
 */
import type * as Http from 'node:http';
import type * as Http2 from 'node:http2';
import type * as Https from 'node:https';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { send } from './channel.cts';
import { exempt } from './connections.cts';
import { type Listener, ownServers } from './listen.cts';

/** GETs `path` from the app and reports the status; never throws. */
export function warmUp(listener: Listener, path: string): void {
  const door = createServer({ allowHalfOpen: true }, (socket) => {
    exempt(socket);
    listener.server.emit('connection', socket);
  });
  ownServers.add(door);
  let told = false;
  const tell = (status: number | null, message: string) => {
    if (told) return;
    told = true;
    door.close();
    send({ type: 'warm', status, message });
  };
  door.once('error', (error) => {
    tell(null, error.message);
  });
  door.listen(0, '127.0.0.1', () => {
    request(listener, door, path, tell);
  });
}

// --- internal ---

type Tell = (status: number | null, message: string) => void;

function request(listener: Listener, door: Server, path: string, tell: Tell): void {
  const { port } = door.address() as AddressInfo;
  const { scheme, server } = listener;
  try {
    if (scheme === 'http2') requestHttp2('setSecureContext' in server, port, path, tell);
    else requestHttp1(scheme === 'https', port, path, tell);
  } catch (error) {
    tell(null, error instanceof Error ? error.message : String(error));
  }
}

// The clients are required when they are used: each is memory of the app.

function requestHttp1(secure: boolean, port: number, path: string, tell: Tell): void {
  const options = {
    host: '127.0.0.1',
    port,
    path,
    agent: false,
    rejectUnauthorized: false,
    headers: { host: `localhost:${port}`, 'user-agent': 'cofferdam-warmup' },
  } as const;
  const answered = (response: Http.IncomingMessage) => {
    response.resume();
    response.once('close', () => {
      tell(response.statusCode ?? null, response.statusMessage ?? '');
    });
  };
  const sent: Http.ClientRequest = secure
    ? (require('node:https') as typeof Https).get(options, answered)
    : (require('node:http') as typeof Http).get(options, answered);
  sent.on('error', (error) => {
    tell(null, error.message);
  });
}

function requestHttp2(secure: boolean, port: number, path: string, tell: Tell): void {
  const { connect } = require('node:http2') as typeof Http2;
  const session = connect(`${secure ? 'https' : 'http'}://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
  });
  const failed = (error: Error) => {
    session.destroy();
    tell(null, error.message);
  };
  session.on('error', failed);
  const stream = session.request({ ':path': path, 'user-agent': 'cofferdam-warmup' });
  let status: number | null = null;
  stream.on('response', (headers) => {
    status = headers[':status'] ?? null;
  });
  stream.on('error', failed);
  stream.resume();
  stream.once('close', () => {
    session.close();
    tell(status, '');
  });
}

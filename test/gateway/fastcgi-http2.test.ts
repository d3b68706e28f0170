import { connect, type ClientHttp2Session } from 'node:http2';
import { expect, onTestFinished, test } from 'vitest';
import { needPhp, serveUpstream, startPhp } from './php.ts';

needPhp();

interface StreamEnd {
  readonly status: number;
  readonly bytes: number;
  /** How the stream ended: 0 = NO_ERROR. */
  readonly code: number;
}

function ask(session: ClientHttp2Session, path: string): Promise<StreamEnd> {
  return new Promise((resolve) => {
    const stream = session.request({ ':path': path });
    let [status, bytes] = [0, 0];
    stream.on('response', (headers) => (status = Number(headers[':status'])));
    stream.on('data', (piece: Buffer) => (bytes += piece.length));
    stream.on('error', () => undefined);
    stream.on('close', () => resolve({ status, bytes, code: stream.rstCode ?? -1 }));
  });
}

test('over HTTP/2: pages, the headers of a connection, large answers, and a visible cut', async () => {
  const server = await serveUpstream((await startPhp()).socketPath, { protocol: 'http2' });
  const session = connect(`http://127.0.0.1:${server.port}`);
  onTestFinished(() => session.destroy());
  expect(await ask(session, '/hello.php')).toEqual({ status: 200, bytes: 6, code: 0 });
  const headers = '/headers.php?h[]=Connection:%20close&h[]=Keep-Alive:%20x&h[]=Upgrade:%20y';
  expect(await ask(session, headers)).toEqual({ status: 200, bytes: 4, code: 0 });
  const big = 20 * 1024 * 1024;
  expect(await ask(session, '/big.php?mib=20')).toEqual({ status: 200, bytes: big, code: 0 });
  expect((await ask(session, '/none.php')).status).toBe(404);
  const cut = await ask(session, '/die.php?after=100000');
  expect(cut.status).toBe(200);
  expect(cut.code).not.toBe(0);
  expect(server.results.at(-1)).toMatchObject({ type: 'failed', stage: 'cut' });
});

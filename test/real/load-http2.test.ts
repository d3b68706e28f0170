/** The open-loop load over HTTP/2: by TLS and in clear, and that it notices every way to fail. */
import { readFileSync } from 'node:fs';
import {
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { FailureClass } from '../../src/leak/load-request.ts';
import { startLoad } from '../../src/leak/load.ts';
import { freePort } from '../support/processes.ts';

const read = (name: string): Buffer =>
  readFileSync(new URL(`../apps/tls/${name}`, import.meta.url));
const TLS = { key: read('key.pem'), cert: read('cert.pem'), allowHTTP1: true };

async function listen(server: Http2Server | Http2SecureServer): Promise<number> {
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function echo(request: Http2ServerRequest, response: Http2ServerResponse): void {
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => {
    const id = String(request.headers['x-id']);
    response.end(`${request.httpVersion} ${request.url} ${id} ${body}`);
  });
}

test.each([
  ['https', 'http2', '2.0'],
  ['https', 'http1', '1.1'],
  ['http', 'http2', '2.0'],
] as const)('%s, %s', async (scheme, protocol, version) => {
  const port = await listen(
    scheme === 'https' ? createSecureServer(TLS, echo) : createServer(echo),
  );
  const result = await startLoad({
    url: `${scheme}://127.0.0.1:${port}`,
    protocol,
    ratePerSecond: 200,
    totalRequests: 100,
    requests: [
      {
        method: 'POST',
        path: '/?id={id}',
        body: 'hello',
        headers: { 'X-Id': '{id}', connection: 'keep-alive' },
        verify: ({ body }, id) => body.toString() === `${version} /?id=${id} ${id} hello`,
      },
    ],
  }).finished;
  expect(result).toMatchObject({ ok: 100, failed: 0, notes: [] });
});

function ask(port: number): ReturnType<typeof startLoad>['finished'] {
  return startLoad({
    url: `http://127.0.0.1:${port}`,
    protocol: 'http2',
    ratePerSecond: 100,
    totalRequests: 5,
    timeoutMs: 300,
    requests: [{ path: '/' }],
  }).finished;
}

const FAULTS: Partial<Record<FailureClass, (stream: ServerHttp2Stream) => void>> = {
  hung: () => {},
  non_2xx: (stream) => stream.respond({ ':status': 500 }, { endStream: true }),
  reset: (stream) => stream.on('error', () => {}).close(constants.NGHTTP2_INTERNAL_ERROR),
  timeout: (stream) => stream.respond({ ':status': 200 }),
};

test.each(Object.entries(FAULTS))('tells %s', async (failure, answer) => {
  const result = await ask(await listen(createServer().on('stream', answer)));
  expect(result).toMatchObject({ ok: 0, failed: 5, failures: { [failure]: 5 } });
});

test('tells refused', async () => {
  expect((await ask(await freePort())).failures.refused).toBe(5);
});

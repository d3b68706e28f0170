/** TLS in front: HTTP/2 and HTTP/1.1, and certificates that change while it runs. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startClients, type ClientKind } from '../support/clients.ts';
import { waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { failureClasses, NO_FAILURES } from '../support/tally.ts';
import { TEST_CA } from '../support/test-ca.ts';
import { replaceWorker, startGateway } from './harness.ts';

const APPS = fileURLToPath(new URL('../apps', import.meta.url));
const FIRST = { certFile: `${APPS}/tls/cert.pem`, keyFile: `${APPS}/tls/key.pem` };
const SECOND = { certFile: `${APPS}/test-only.crt`, keyFile: `${APPS}/test-only.key` };

function certificateOf(port: number): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
  });
}

describe('over TLS', () => {
  test.each<ClientKind>(['https', 'http2'])('workers change unseen by %s', async (kind) => {
    const gateway = await startGateway({}, FIRST);
    const worker = await gateway.join();
    const clients = startClients(kind, gateway, { clients: 8 });
    await waitUntil('answers', () => clients.tally.ok > 50);
    await replaceWorker(gateway, worker);
    const { ok } = clients.tally;
    await waitUntil('more answers', () => clients.tally.ok > ok + 50);
    expect(failureClasses(await clients.stop())).toEqual(NO_FAILURES);
  });

  test('HTTP/2 is translated: bodies, limits, a cut answer', async () => {
    const gateway = await startGateway({ bodyLimitBytes: 1000 }, FIRST);
    const worker = await gateway.join();
    const session = connectHttp2(gateway.url, { ca: TEST_CA });
    session.on('error', () => undefined);
    onTestFinished(() => session.destroy());
    let begun = 0;
    const ask = (
      fields: Record<string, string | string[]>,
      body = '',
    ): Promise<{ status: number; text: string }> =>
      new Promise((resolve, reject) => {
        const stream = session.request(fields, { endStream: body === '' });
        let status = 0;
        let text = '';
        stream.on('response', (head) => {
          status = head[':status'] ?? 0;
          begun += 1;
        });
        stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
        stream.on('error', reject);
        stream.on('end', () => resolve({ status, text }));
        if (body !== '') stream.end(body);
      });
    const { status, text } = await ask({ ':path': '/upload', ':method': 'POST', 'x-id': 'a' }, 'b');
    expect([status, text]).toEqual([200, expect.stringMatching(/^id=a hash=e9d71f5ee7c92d6d /)]);
    expect((await ask({ ':path': '/upload', ':method': 'POST' }, 'b'.repeat(1001))).status).toBe(
      413,
    );
    const cut = expect(ask({ ':path': '/download?bytes=5000000&ms=20' })).rejects.toThrow(
      /INTERNAL_ERROR/,
    );
    await waitUntil('the third answer has begun', () => begun === 3);
    await worker.kill();
    await cut;
  });

  test('a new certificate is taken up, a bad one is not, and both are told', async () => {
    const folder = scratchFolder();
    const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
    const put = (from: typeof files): void => {
      copyFileSync(from.certFile, files.certFile);
      copyFileSync(from.keyFile, files.keyFile);
    };
    put(FIRST);
    const gateway = await startGateway({}, files);
    const first = (await certificateOf(gateway.port)).fingerprint256;
    put(SECOND);
    await gateway.hear('log', ({ event }) => event === 'certificate_renewed');
    const second = (await certificateOf(gateway.port)).fingerprint256;
    expect(second).not.toBe(first);
    writeFileSync(files.certFile, 'no certificate');
    await gateway.hear('log', ({ event }) => event === 'certificate_bad');
    expect((await certificateOf(gateway.port)).fingerprint256).toBe(second);
  });
});

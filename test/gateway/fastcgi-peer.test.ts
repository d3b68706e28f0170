/** What php-cgi never says, said by a peer that we write byte by byte. */
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished, describe, expect, test } from 'vitest';
import { RECORD } from '../../src/data/gateway/fastcgi/record.ts';
import { scratchFolder } from '../support/scratch.ts';
import { get, serveUpstream, type PhpServer, type ServeOptions } from './php.ts';

const PAGE = 'Content-Type: text/plain\r\n\r\npage';

function record(type: number, content: Buffer | string, padding = 0, id = 1): Buffer {
  const bytes = Buffer.from(content as string, 'latin1');
  const header = Buffer.from([1, type, id >> 8, id & 255, 0, 0, padding, 0]);
  header.writeUInt16BE(bytes.length, 4);
  return Buffer.concat([header, bytes, Buffer.alloc(padding)]);
}

const out = (text: string): Buffer => record(RECORD.stdout, text, text.length % 8);
const end = (protocolStatus = 0): Buffer =>
  record(RECORD.end, Buffer.from([0, 0, 0, 0, protocolStatus, 0, 0, 0]));

/** Answers each request with what `say` writes; one that keeps its connection. */
async function servePeer(
  say: (socket: Socket, nth: number, asked: Buffer) => void,
  options: ServeOptions = {},
): Promise<PhpServer & { connections: () => number }> {
  const path = join(scratchFolder(), 'peer.sock');
  let requests = 0;
  let connections = 0;
  const sockets = new Set<Socket>();
  const peer = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      // A head comes in one write; GET_VALUES has a type of its own.
      if (chunk[1] === RECORD.getValues) socket.write(record(RECORD.getValuesResult, '', 0, 0));
      if (chunk[1] !== RECORD.begin) return;
      requests += 1;
      say(socket, requests, chunk);
    });
  });
  await new Promise<void>((resolve) => peer.listen(path, resolve));
  onTestFinished(() => {
    sockets.forEach((socket) => socket.destroy());
    peer.close();
  });
  return Object.assign(await serveUpstream(path, options), { connections: () => connections });
}

/** All bytes of the answer to one head, until the server closes. */
async function raw(port: number, head: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${head}\r\n\r\n`);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test('bytes one at a time, without the terminators that php leaves out too', async () => {
  const server = await servePeer((socket) => {
    const bytes = Buffer.concat([out(PAGE.slice(0, 10)), out(PAGE.slice(10)), end()]);
    for (let at = 0; at < bytes.length; at += 1) {
      setImmediate(() => socket.write(bytes.subarray(at, at + 1)));
    }
  });
  expect(await get(server, '/hello.php')).toMatchObject({ status: 200, body: 'page' });
  expect(await get(server, '/hello.php')).toMatchObject({ status: 200, body: 'page' });
  expect(server.connections()).toBe(1);
});

test('STDERR in the middle of the answer is not part of it', async () => {
  const server = await servePeer((socket) => {
    const oops = record(RECORD.stderr, 'oops\n', 3);
    socket.write(Buffer.concat([out(PAGE), oops, out(' more'), record(RECORD.stdout, ''), end()]));
  });
  expect((await get(server, '/hello.php')).body).toBe('page more');
  expect(server.stderr).toMatchObject([{ slot: 3, visit: { id: 1 }, text: 'oops' }]);
});

test.each([
  ['an END without an answer', [end()]],
  ['an END within the head', [out('Content-Type: text/plain\r\n'), end()]],
  ['a status that is none', [out('Status: 1000\r\n\r\nx'), end()]],
  ['a line end in a header', [out('X: a\rSet-Cookie: evil=1\r\n\r\nx'), end()]],
  ['a body that is too short', [out('Content-Length: 9\r\n\r\nshort'), end()]],
  ['a head of 108 KB', [out('X: y\r\n'.repeat(9000)), out('X: y\r\n'.repeat(9000)), end()]],
])('%s is a 502, and the worker goes on', async (_, bytes) => {
  const server = await servePeer((socket, nth) => {
    socket.write(nth === 1 ? Buffer.concat(bytes) : Buffer.concat([out(PAGE), end()]));
  });
  const reply = await get(server, '/hello.php');
  expect(reply.status).toBe(502);
  expect(reply.headers['set-cookie']).toBeUndefined();
  expect(server.results[0]).toEqual({ type: 'answered', status: 502 });
  expect((await get(server, '/hello.php')).body).toBe('page');
  expect(server.connections()).toBe(1);
});

test('a body that turns out too short is cut', async () => {
  const server = await servePeer((socket) => {
    socket.write(out('Content-Length: 9\r\n\r\nshort'));
    setTimeout(() => socket.write(end()), 50);
  });
  await expect(get(server, '/hello.php')).rejects.toThrow();
  expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'cut' });
});

test('a body that is longer than it said ends where it said', async () => {
  const server = await servePeer((socket) => {
    socket.write(out('Content-Length: 4\r\n\r\npage'));
    setTimeout(() => socket.write(Buffer.concat([out('HTTP/1.1 200 OK\r\n\r\n'), end()])), 20);
  });
  const whole = await raw(server.port, 'GET /hello.php HTTP/1.1\r\nHost: x\r\nConnection: close');
  expect(whole).toMatch(/\r\n\r\npage$/);
  expect((await get(server, '/hello.php')).body).toBe('page');
});

test('only the last request ends the connection', async () => {
  const flags: unknown[] = [];
  const server = await servePeer(
    (socket, _, asked) => {
      flags.push(asked[10]);
      socket.write(Buffer.concat([out(PAGE), end()]));
    },
    { last: () => flags.length === 2 },
  );
  for (let count = 0; count < 4; count += 1) await get(server, '/hello.php');
  // FCGI_KEEP_CONN
  expect(flags).toEqual([1, 1, 0, 1]);
  expect(server.connections()).toBe(2);
});

test('httpoxy: HTTP_PROXY is never said, nor a name with an underscore', async () => {
  let said = '';
  const server = await servePeer((socket, _, asked) => {
    said = asked.toString('latin1');
    socket.write(Buffer.concat([out(PAGE), end()]));
  });
  await get(server, '/hello.php', {
    headers: { Proxy: 'http://evil', X_Evil: 'x', 'X-Good': 'x' },
  });
  expect(said).toContain('HTTP_X_GOOD');
  expect(said).not.toMatch(/HTTP_PROXY|EVIL|evil/);
});

describe('an end of the connection', () => {
  test('before any answer', async () => {
    const server = await servePeer((socket) => socket.end());
    expect((await get(server, '/hello.php')).status).toBe(502);
    expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'unanswered' });
  });

  test('within the head: the client has nothing yet', async () => {
    const server = await servePeer((socket) => socket.end(out('Content-Type: text/plain\r\n')));
    expect((await get(server, '/hello.php')).status).toBe(502);
    expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'unanswered' });
  });

  test('within the body', async () => {
    const server = await servePeer((socket) => socket.end(out(PAGE)));
    await expect(get(server, '/hello.php')).rejects.toThrow();
    expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'cut' });
  });

  test('after END is none of our concern', async () => {
    const server = await servePeer((socket) => {
      socket.write(Buffer.concat([out(PAGE), end()]), () => socket.destroy());
    });
    for (let count = 0; count < 5; count += 1) {
      expect((await get(server, '/hello.php')).body).toBe('page');
    }
  });
});

test.each([
  ['a record for another request', record(RECORD.stdout, PAGE, 0, 2)],
  ['a record of another version', Buffer.from([9, 6, 0, 1, 0, 0, 0, 0])],
  ['plain HTTP', Buffer.from('HTTP/1.1 200 OK\r\n\r\n')],
])('%s ends the connection', async (_, bytes) => {
  const server = await servePeer((socket) => socket.write(bytes));
  expect((await get(server, '/hello.php')).status).toBe(502);
  expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'unanswered' });
});

test('a worker that refuses a request has not begun it', async () => {
  const server = await servePeer((socket) => socket.write(end(2)));
  await get(server, '/hello.php');
  expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'unsent' });
});

test('a worker that speaks unasked is not listened to again', async () => {
  const server = await servePeer((socket) => {
    socket.write(Buffer.concat([out(PAGE), end()]));
    setTimeout(() => socket.write(out('unasked')), 20);
  });
  await get(server, '/hello.php');
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect((await get(server, '/hello.php')).body).toBe('page');
  expect(server.connections()).toBe(2);
});

describe('a local Location without a status', () => {
  test('is answered here, with GET', async () => {
    const server = await servePeer((socket, nth) => {
      const redirect = out('Location: /vars.php?x\r\n\r\n');
      socket.write(Buffer.concat([nth === 1 ? redirect : out(PAGE), end()]));
    });
    const reply = await get(server, '/hello.php', { method: 'POST', body: Buffer.from('x') });
    expect(reply).toMatchObject({ status: 200, body: 'page' });
  });

  test('is not followed for ever', async () => {
    let asked = 0;
    const server = await servePeer((socket) => {
      asked += 1;
      socket.write(Buffer.concat([out('Location: /hello.php\r\n\r\n'), end()]));
    });
    expect((await get(server, '/hello.php')).status).toBe(502);
    expect(asked).toBe(6);
  });

  test('leads nowhere that a visitor could not go', async () => {
    const server = await servePeer((socket) => {
      socket.write(Buffer.concat([out('Location: /.secret.php\r\n\r\n'), end()]));
    });
    expect((await get(server, '/hello.php')).status).toBe(404);
  });
});

describe('a file in place of the body', () => {
  const order = (line: string) => (socket: Socket) => {
    const head = `Content-Type: text/x-own\r\nContent-Length: 99\r\n${line}\r\n\r\n`;
    socket.write(Buffer.concat([out(head), out('not this'), end()]));
  };
  const folder = new URL('../apps/php', import.meta.url).pathname;
  const given: ServeOptions = {
    upstream: {
      sendfileRoots: [folder],
      sendFile(visit, file) {
        visit.response.end(`sent ${file.toString()}`);
        return Promise.resolve(200);
      },
    },
  };

  test.each([`X-Sendfile: ${folder}/file.txt`, 'X-Accel-Redirect: /file.txt'])(
    'is sent where that is allowed: %s',
    async (line) => {
      const reply = await get(await servePeer(order(line), given), '/hello.php');
      expect(reply.body).toBe(`sent ${folder}/file.txt`);
      expect(reply.headers).toMatchObject({ 'content-type': 'text/x-own' });
      expect(reply.headers).not.toHaveProperty('x-sendfile');
    },
  );

  test.each(['X-Sendfile: /etc/passwd', 'X-Accel-Redirect: /../../http.cjs'])(
    'is not sent from elsewhere: %s',
    async (line) => {
      const reply = await get(await servePeer(order(line), given), '/hello.php');
      expect(reply.status).toBe(404);
      expect(reply.headers).not.toHaveProperty('x-sendfile');
    },
  );

  test('is never sent unless it was enabled', async () => {
    const line = `X-Sendfile: ${folder}/file.txt`;
    expect((await get(await servePeer(order(line)), '/hello.php')).status).toBe(404);
  });
});

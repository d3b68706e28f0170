// API: compat | stream (over TLS, HTTP/1.1 allowed), or clear (h2c).
'use strict';
const { readFileSync } = require('node:fs');
const http2 = require('node:http2');
const { join } = require('node:path');
const { answer } = require('./answer.cjs');

const read = (name) => readFileSync(join(__dirname, name));
const mode = process.env.API ?? 'compat';
const options = { key: read('test-only.key'), cert: read('test-only.crt'), allowHTTP1: true };
const server =
  mode === 'clear'
    ? http2.createServer(answer)
    : http2.createSecureServer(options, mode === 'compat' ? answer : undefined);

if (mode === 'stream') {
  server.on('stream', (stream, headers) => {
    const url = headers[':path'];
    const ms = Number(new URL(url, 'http://test').searchParams.get('ms') ?? 0);
    let bytes = 0;
    stream.on('data', (chunk) => {
      bytes += chunk.length;
    });
    stream.on('end', () => {
      setTimeout(() => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200, 'content-type': 'application/json' });
        stream.end(JSON.stringify({ pid: process.pid, url, bytes }));
      }, ms);
    });
  });
  // HTTP/1.1 clients of the same port.
  server.on('request', (req, res) => {
    if (req.httpVersionMajor === 1) answer(req, res);
  });
}
server.listen(0);

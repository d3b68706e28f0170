// PROTOCOL=http1 or http2, in the clear; at SIGUSR2 it writes the bytes of its heap, after
// collections, to $MEM_FILE.
'use strict';
const { writeFileSync } = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const v8 = require('node:v8');
const vm = require('node:vm');

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc');

const server = process.env.PROTOCOL === 'http1' ? createHttp1Server() : createHttp2Server();
server.listen(process.env.PORT);

process.on('SIGUSR2', async () => {
  for (let count = 0; count < 4; count++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  writeFileSync(process.env.MEM_FILE, String(process.memoryUsage().heapUsed));
});

function createHttp1Server() {
  return http.createServer((request, response) => response.end('hi'));
}

function createHttp2Server() {
  const server = http2.createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.end('hi');
  });
  server.on('sessionError', () => {});
  return server;
}

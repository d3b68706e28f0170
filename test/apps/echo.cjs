'use strict';
/**
 * The echo app: every answer says who asked (id), what was sent (body hash) and who answered (pid),
 * so that a client notices any mixed-up, cut or repeated answer.
 *
 * Routes (all of them hash the request body; all answer with x-id, x-hash, x-worker):
 *   /               `id=<id> hash=<hash> worker=<pid>\n`
 *   /slow?ms=       the same, after so many milliseconds
 *   /upload         the same; for request bodies of any size
 *   /download?bytes=&chunk=&ms=   chunked: `<id>\n` repeated, cut to `bytes`; `ms` between chunks
 *   /early          answers before the request body was read
 *   /sse?ms=        events `data: <id> <n>` from 0 on, every `ms`, for ever
 *   /ws             WebSocket: sends every message back
 *   /leak?kb=       keeps so many KiB for ever          /block?ms=   blocks the event loop
 *   /crash /exit?code= /oom /env      die in three ways; show argv and environment as JSON
 *
 * Environment:
 *   PORT HOST          where to listen (3000, all addresses)      PORT_FIXED=n   wins over PORT
 *   UNIX_SOCKET=path   listen there instead                       TWO_PORTS=n    listen on n as well
 *   PROTOCOL=http|https|http2 (with HTTP/1 allowed)               BOOT_MS=n      listen that late
 *   KEEP_ALIVE_MS      keepAliveTimeout of the server (30000)
 *   NO_IDLE_LIST=1     be on a Node that does not tell which connections are idle
 *   FAIL_BOOT=1 throw · HANG_BOOT=1 never listen · HANG_BOOT=block the same with a busy loop
 *   LISTEN_NOTHING=1   come to an end without listening
 *   EXIT_AFTER=n       exit(EXIT_CODE or 0) once n requests were answered
 *   IGNORE_TERM=1 · EXIT_ON_TERM=1 (process.exit at once)
 *   BLOCK_LOOP=ms      block for good so long after listening     DISCONNECT_IPC=ms  the same for IPC
 *   UPGRADE_MS=ms      a WebSocket is agreed to after so long
 *   POLITE=1           on `cofferdam:drain` say goodbye to WebSockets (1001) and SSE (`event: bye`)
 *   FAULT_FILE=path    lines of NAME=value read at boot that win over the environment: how a test
 *                      makes later generations behave differently from the first
 */
const { createHash } = require('node:crypto');
const { existsSync, readFileSync } = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const path = require('node:path');

const settings = { ...process.env, ...readFaults(process.env.FAULT_FILE) };
const WORKER = String(process.pid);
const DOWNLOAD_CHUNK_BYTES = 16 * 1024;

const kept = [];
const streams = new Set();
let webSockets = null;
let answered = 0;

boot();

// --- internal ---

function boot() {
  if (settings.FAIL_BOOT) throw new Error('FAIL_BOOT: this app does not boot');
  if (settings.HANG_BOOT === 'block') blockForGood();
  if (settings.HANG_BOOT) return void setInterval(() => {}, 60_000);
  if (settings.LISTEN_NOTHING) return;
  if (settings.IGNORE_TERM) ignoreTerm();
  if (settings.EXIT_ON_TERM) process.on('SIGTERM', () => process.exit(0));
  if (settings.POLITE) process.on('cofferdam:drain', sayGoodbye);
  setTimeout(listen, Number(settings.BOOT_MS ?? 0));
}

function listen() {
  const first = createServer();
  const port = Number(settings.PORT_FIXED ?? settings.PORT ?? 3000);
  if (settings.UNIX_SOCKET) first.listen(settings.UNIX_SOCKET, afterListening);
  else first.listen(port, settings.HOST, afterListening);
  if (settings.TWO_PORTS) createServer().listen(Number(settings.TWO_PORTS), settings.HOST);
}

function afterListening() {
  if (settings.NO_IDLE_LIST) hideIdleList(this);
  if (settings.BLOCK_LOOP) setTimeout(blockForGood, Number(settings.BLOCK_LOOP));
  if (settings.DISCONNECT_IPC) {
    setTimeout(() => process.disconnect?.(), Number(settings.DISCONNECT_IPC));
  }
}

function hideIdleList(server) {
  for (const symbol of Object.getOwnPropertySymbols(server)) {
    if (symbol.description === 'http.server.connections') server[symbol].idle = undefined;
  }
}

/** A closed server would end the process by itself: something else has to keep it. */
function ignoreTerm() {
  process.on('SIGTERM', () => {});
  setInterval(() => {}, 60_000);
}

function createServer() {
  const tls = () => ({
    key: readFileSync(path.join(__dirname, 'tls/key.pem')),
    cert: readFileSync(path.join(__dirname, 'tls/cert.pem')),
    allowHTTP1: true,
  });
  let server;
  if (settings.PROTOCOL === 'https') server = https.createServer(tls(), handle);
  else if (settings.PROTOCOL === 'http2') server = http2.createSecureServer(tls(), handle);
  else server = http.createServer(handle);
  server.keepAliveTimeout = Number(settings.KEEP_ALIVE_MS ?? 30_000);
  if (settings.PROTOCOL !== 'http2') server.on('upgrade', upgrade);
  return server;
}

function handle(request, response) {
  const url = new URL(request.url, 'http://app');
  const ask = {
    url,
    id: request.headers['x-id'] ?? url.searchParams.get('id') ?? '',
    number: (name, fallback) => Number(url.searchParams.get(name) ?? fallback),
  };
  response.on('finish', countAnswer);
  response.setHeader('x-id', ask.id);
  response.setHeader('x-worker', WORKER);
  if (url.pathname === '/early') {
    request.resume();
    return answer(response, ask, '');
  }
  const hash = createHash('sha1');
  request.on('data', (chunk) => hash.update(chunk));
  request.on('end', () => route(request, response, ask, hash.digest('hex').slice(0, 16)));
}

function route(request, response, ask, hash) {
  response.setHeader('x-hash', hash);
  switch (ask.url.pathname) {
    case '/slow':
      return void setTimeout(() => answer(response, ask, hash), ask.number('ms', 100));
    case '/download':
      return download(response, ask);
    case '/sse':
      return sendEvents(response, ask);
    case '/leak':
      kept.push(Buffer.alloc(ask.number('kb', 100) * 1024, 1));
      return answer(response, ask, hash);
    case '/block':
      blockFor(ask.number('ms', 100));
      return answer(response, ask, hash);
    case '/crash':
      setImmediate(() => {
        throw new Error('/crash was asked for');
      });
      return;
    case '/exit':
      return process.exit(ask.number('code', 0));
    case '/oom':
      return runOutOfMemory();
    case '/env':
      response.setHeader('content-type', 'application/json');
      return void response.end(
        JSON.stringify({ argv: process.argv, execArgv: process.execArgv, env: process.env }),
      );
    default:
      return answer(response, ask, hash);
  }
}

function answer(response, ask, hash) {
  response.end(`id=${ask.id} hash=${hash} worker=${WORKER}\n`);
}

async function download(response, ask) {
  const bytes = ask.number('bytes', 65_536);
  const chunkBytes = ask.number('chunk', DOWNLOAD_CHUNK_BYTES);
  const line = `${ask.id}\n`;
  const repeats = Math.ceil((chunkBytes + line.length) / line.length);
  const pattern = Buffer.from(line.repeat(repeats));
  for (let sent = 0; sent < bytes && !response.destroyed; sent += chunkBytes) {
    const offset = sent % line.length;
    const chunk = pattern.subarray(offset, offset + Math.min(chunkBytes, bytes - sent));
    if (!response.write(chunk)) await once(response, ['drain', 'close']);
    if (ask.number('ms', 0) > 0) await new Promise((done) => setTimeout(done, ask.number('ms', 0)));
  }
  response.end();
}

function sendEvents(response, ask) {
  response.setHeader('content-type', 'text/event-stream');
  response.setHeader('cache-control', 'no-store');
  let count = 0;
  const send = () => response.write(`data: ${ask.id} ${count++}\n\n`);
  const timer = setInterval(send, ask.number('ms', 100));
  const stream = { bye: () => response.end('event: bye\ndata: \n\n') };
  streams.add(stream);
  response.on('close', () => {
    clearInterval(timer);
    streams.delete(stream);
  });
  send();
}

function upgrade(request, socket, head) {
  const { WebSocketServer } = require('ws');
  webSockets ??= new WebSocketServer({ noServer: true });
  if (new URL(request.url, 'http://app').pathname !== '/ws') return void socket.destroy();
  const agree = () =>
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }));
      webSocket.on('error', () => {});
    });
  if (settings.UPGRADE_MS) setTimeout(agree, Number(settings.UPGRADE_MS));
  else agree();
}

function sayGoodbye() {
  for (const webSocket of webSockets?.clients ?? []) webSocket.close(1001, 'server restarts');
  for (const stream of streams) stream.bye();
}

function countAnswer() {
  answered += 1;
  if (answered === Number(settings.EXIT_AFTER)) process.exit(Number(settings.EXIT_CODE ?? 0));
}

function runOutOfMemory() {
  for (;;) kept.push(new Array(100_000).fill({}));
}

function blockFor(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function blockForGood() {
  for (;;) blockFor(60_000);
}

function once(emitter, events) {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of events) emitter.off(event, done);
      resolve();
    };
    for (const event of events) emitter.on(event, done);
  });
}

function readFaults(file) {
  if (!file || !existsSync(file)) return {};
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

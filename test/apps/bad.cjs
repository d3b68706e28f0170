'use strict';
/**
 * An app that harms who runs it, by a fault or because somebody has taken it over.
 *
 *   /send?m=<JSON>     a message on the IPC channel (`pad`: its body has so many bytes)
 *   /raw?text=         bytes on it, as they are
 *   /write             the bytes of its body on it
 *   /endless?mb=       so many MiB on it without a line end
 *   /flood?ms=         messages of its own, as fast as it can, for so long
 *   /descriptors       opens files until there are no more descriptors, and keeps them
 */
const fs = require('node:fs');
const http = require('node:http');
const { spawn } = require('node:child_process');

const CHANNEL_FD = 3;
const CHUNK_BYTES = 64 * 1024;
const held = [];

// A process in a session of its own that has everything that this one has.
if (process.env.HEIR_SECONDS) {
  const stdio = ['ignore', 'inherit', 'inherit', CHANNEL_FD];
  const heir = spawn('sleep', [process.env.HEIR_SECONDS], { detached: true, stdio });
  heir.unref();
  fs.writeFileSync(process.env.HEIR_FILE, String(heir.pid));
}

http
  .createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://x');
    if (pathname === '/send') forge(JSON.parse(searchParams.get('m')));
    if (pathname === '/raw') write(searchParams.get('text'));
    if (pathname === '/write') return writeBody(request, response);
    if (pathname === '/endless') endless(Number(searchParams.get('mb')) * 2 ** 20);
    if (pathname === '/flood') flood(Date.now() + Number(searchParams.get('ms')));
    if (pathname === '/descriptors') takeAll();
    response.end(String(process.pid));
  })
  .listen(process.env.PORT ?? 3000);

// --- internal ---

function forge({ pad = 0, ...message }) {
  process.send(pad === 0 ? message : { ...message, body: 'y'.repeat(pad) });
}

function writeBody(request, response) {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    write(Buffer.concat(pieces));
    response.end(String(process.pid));
  });
}

function write(bytes) {
  try {
    fs.writeSync(CHANNEL_FD, bytes);
    return true;
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error;
    return false;
  }
}

function endless(left) {
  if (left <= 0) return;
  setTimeout(endless, 0, write('x'.repeat(CHUNK_BYTES)) ? left - CHUNK_BYTES : left);
}

function flood(until) {
  for (let index = 0; index < 100; index++) process.send({ text: 'x'.repeat(1000) });
  if (Date.now() < until) setImmediate(flood, until);
}

function takeAll() {
  try {
    for (;;) held.push(fs.openSync('/dev/null'));
  } catch {
    // None is left, which was the aim.
  }
}

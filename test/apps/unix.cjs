// Listens on the unix socket SOCKET; with UNLINK it removes "its stale socket" first.
'use strict';
const { unlinkSync } = require('node:fs');
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

if (process.env.UNLINK) {
  try {
    unlinkSync(process.env.SOCKET);
  } catch {
    // There was none.
  }
}
const server = createServer(answer);
server.listen(process.env.SOCKET, () => console.log(`address ${server.address()}`));

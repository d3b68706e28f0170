// WebSockets on /socket, server-sent events on /events, and an ear for the drain.
'use strict';
const { createServer } = require('node:http');
const { WebSocketServer } = require('ws');
const { answer } = require('./answer.cjs');

const server = createServer(answer);
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(`${process.pid} ${data}`));
});
process.on('cofferdam:drain', (details) => {
  console.log(`told ${JSON.stringify(details)}`);
  if (process.env.SAY_GOODBYE) for (const socket of sockets.clients) socket.close(1001, 'bye');
});
server.listen(0);

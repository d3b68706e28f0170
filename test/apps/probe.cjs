// Looks for a free port as `get-port` and its kind do: listens, closes, and listens for good.
'use strict';
const { createServer } = require('node:http');
const net = require('node:net');
const { answer } = require('./answer.cjs');

const port = Number(process.env.PORT);
const probe = net.createServer();
probe.once('error', (error) => console.log(`probe ${error.code}`));
probe.listen(port, () => {
  probe.close(() => createServer(answer).listen(port));
});

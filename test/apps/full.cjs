// Takes few connections at once.
'use strict';
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

const server = createServer(answer);
server.maxConnections = Number(process.env.MAX);
server.listen(0);

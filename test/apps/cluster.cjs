'use strict';
const cluster = require('node:cluster');
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

if (cluster.isPrimary) {
  cluster.fork();
  process.once('SIGTERM', () => process.exit(0));
} else createServer(answer).listen(0);

'use strict';
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

createServer(answer).listen(process.env.PORT ?? 0);

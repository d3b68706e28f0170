'use strict';
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

createServer(answer).listen(0, 'localhost');
createServer(answer).listen(0, 'localhost');

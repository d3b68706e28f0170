'use strict';
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

createServer({ keepAliveTimeout: 1000 }, answer).listen(0);

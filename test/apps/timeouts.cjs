'use strict';
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

createServer(JSON.parse(process.env.OPTIONS), answer).listen(0);

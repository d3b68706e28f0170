'use strict';
const { readFileSync } = require('node:fs');
const { createServer } = require('node:https');
const { join } = require('node:path');
const { answer } = require('./answer.cjs');

const read = (name) => readFileSync(join(__dirname, name));

createServer({ key: read('test-only.key'), cert: read('test-only.crt') }, answer).listen(0);

// An app with a second server for its metrics, which starts late.
'use strict';
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

createServer(answer).listen(0, () => {
  setTimeout(() => createServer(answer).listen(0), 20);
});

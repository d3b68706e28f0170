// Listens as LISTEN (JSON, the arguments of `listen`) says, and prints what came of it.
'use strict';
const { createServer } = require('node:http');
const { answer } = require('./answer.cjs');

const args = JSON.parse(process.env.LISTEN ?? '[0]');
const options = args.find((value) => typeof value === 'object');
if (options && process.env.FREEZE) Object.freeze(options);
const before = JSON.stringify(args);
const server = createServer(answer);
server.on('error', (error) => console.log(`error ${error.code}`));
server.listen(...args, () => {
  console.log(`address ${JSON.stringify(server.address())}`);
  console.log(`options ${JSON.stringify(args) === before ? 'untouched' : JSON.stringify(args)}`);
});

// Forks a child and starts a thread; both say what they see of Cofferdam.
'use strict';
const { fork } = require('node:child_process');
const { createServer } = require('node:http');
const { isMainThread, Worker } = require('node:worker_threads');
const { answer } = require('./answer.cjs');

const seen = () =>
  JSON.stringify({
    variable: process.env.COFFERDAM_WORKER ?? null,
    execArgv: process.execArgv,
    loaded: Object.keys(require.cache).some((file) => file.endsWith('life.cjs')),
  });

if (!isMainThread) console.log(`thread ${seen()}`);
else if (process.argv[2] === 'child') {
  console.log(`child ${seen()}`);
  process.send('hello from the child');
} else {
  console.log(`app ${seen()}`);
  process.on('message', (message) => console.log(`message ${JSON.stringify(message)}`));
  const child = fork(__filename, ['child']);
  child.once('message', (message) => {
    console.log(`parent got ${message}`);
    new Worker(__filename).once('exit', () => {
      process.send('sent by the app');
      createServer(answer).listen(0);
    });
  });
}

const http = require('node:http');
const { MessageChannel } = require('node:worker_threads');

http
  .createServer((req, res) => {
    const { port1 } = new MessageChannel();
    port1.on('message', function received() {});
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

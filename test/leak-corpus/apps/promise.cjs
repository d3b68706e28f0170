const http = require('node:http');
const ready = new Promise(() => {});
let count = 0;

http
  .createServer((req, res) => {
    const job = { number: (count += 1) };
    void ready.then(function start() {
      return job;
    });
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

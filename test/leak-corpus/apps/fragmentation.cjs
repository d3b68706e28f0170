const http = require('node:http');
const ring = new Array(500);
let at = 0;

http
  .createServer((req, res) => {
    ring[at % ring.length] = Buffer.alloc(500 + Math.floor(Math.random() * 60_000), 1);
    at += 1;
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

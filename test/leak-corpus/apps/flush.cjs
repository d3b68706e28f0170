const http = require('node:http');
let pending = [];

http
  .createServer((req, res) => {
    pending.push({ at: Date.now(), line: `GET ${req.url}`.padEnd(300, '.') });
    if (pending.length >= 1300) pending = [];
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

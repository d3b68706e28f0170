const http = require('node:http');

http
  .createServer((req, res) => {
    const page = Buffer.alloc(100_000 + Math.floor(Math.random() * 100_000), 'x');
    res.end(page.subarray(0, 1000));
  })
  .listen(process.env.PORT || 3000);

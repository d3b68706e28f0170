const http = require('node:http');
const zlib = require('node:zlib');
const page = Buffer.from('hello world '.repeat(2000));

http
  .createServer((req, res) => {
    res.setHeader('content-encoding', 'gzip');
    const gzip = zlib.createGzip();
    gzip.pipe(res);
    gzip.end(page);
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
const uploads = new Set();

function keep(size) {
  uploads.add(Buffer.alloc(size, 1));
}

http
  .createServer((req, res) => {
    keep(16_384);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
const fs = require('node:fs');

http
  .createServer((req, res) => {
    fs.open(__filename, 'r', function opened(error, fd) {
      if (error !== null) res.statusCode = 500;
      res.end(String(fd));
    });
  })
  .listen(process.env.PORT || 3000);

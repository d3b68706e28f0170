const http = require('node:http');

http
  .createServer((req, res) => {
    res.end(JSON.stringify({ hello: 'world', at: Date.now() }));
  })
  .listen(process.env.PORT || 3000);

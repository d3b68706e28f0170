const http = require('node:http');
const backend = http.createServer((req, res) => res.end('x'.repeat(100_000))).listen(0);

http
  .createServer((req, res) => {
    const { port } = backend.address();
    http.get({ port, host: '127.0.0.1', agent: false }, function answered(reply) {
      res.end(String(reply.statusCode));
    });
  })
  .listen(process.env.PORT || 3000);

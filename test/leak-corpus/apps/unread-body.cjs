const http = require('node:http');
// More than two high-water marks of Node 22 and newer: what fits there is read by itself.
const backend = http.createServer((req, res) => res.end('x'.repeat(300_000))).listen(0);

http
  .createServer((req, res) => {
    const { port } = backend.address();
    http.get({ port, host: '127.0.0.1', agent: false }, function answered(reply) {
      res.end(String(reply.statusCode));
    });
  })
  .listen(process.env.PORT || 3000);

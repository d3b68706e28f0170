const http = require('node:http');
const backend = http.createServer((req, res) => res.end('ok')).listen(0);
backend.keepAliveTimeout = 3_600_000;

http
  .createServer((req, res) => {
    const agent = new http.Agent({ keepAlive: true });
    http.get({ port: backend.address().port, host: '127.0.0.1', agent }, (reply) => {
      reply.resume();
      reply.on('end', () => res.end('ok'));
    });
  })
  .listen(process.env.PORT || 3000);

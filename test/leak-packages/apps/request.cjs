// A gateway with keep-alive to its backend: 2.80 adds a listener to the socket with each request.
const http = require('node:http');
const request = require(process.env.PACKAGE);

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

const backend = http.createServer((req, res) => res.end('ok'));
backend.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${backend.address().port}/`;
  http
    .createServer((req, res) => {
      request({ url, agent }, (error, answer, body) => {
        res.statusCode = error ? 502 : 200;
        res.end(body);
      });
    })
    .listen(process.env.PORT);
});

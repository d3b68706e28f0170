// A gateway that keeps times of its requests, with keep-alive to its backend: each request leaves a
// listener on the socket.
const http = require('node:http');
const request = require(process.env.PACKAGE);

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

const backend = http.createServer((req, res) => res.end('ok'));
backend.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${backend.address().port}/`;
  http
    .createServer((req, res) => {
      request({ url, agent, time: true }, (error, answer, body) => {
        res.statusCode = error ? 502 : 200;
        res.end(body);
      });
    })
    .listen(process.env.PORT);
});

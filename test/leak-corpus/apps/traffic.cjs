const http = require('node:http');

const server = http
  .createServer((req, res) => {
    res.end(JSON.stringify({ url: req.url, at: Date.now() }));
  })
  .listen(process.env.PORT || 3000, ask);

// Traffic that the load knows nothing of: ten times as much after ten seconds.
let gapMs = 100;
setTimeout(() => {
  gapMs = 10;
}, 10_000).unref();

function ask() {
  http.get({ port: server.address().port, path: '/own' }, (reply) => reply.resume());
  setTimeout(ask, gapMs);
}

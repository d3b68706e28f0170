const http = require('node:http');
const { EventEmitter } = require('node:events');
const config = new EventEmitter();
config.setMaxListeners(0);

http
  .createServer((req, res) => {
    const seen = { url: req.url, at: Date.now() };
    config.on('change', function reload() {
      return seen;
    });
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

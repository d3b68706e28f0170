const http = require('node:http');
const LATER = 3_600_000;

http
  .createServer((req, res) => {
    const asked = { url: req.url };
    setTimeout(function expire() {
      return asked;
    }, LATER).unref();
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

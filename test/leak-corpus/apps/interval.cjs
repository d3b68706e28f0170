const http = require('node:http');
const LATER = 3_600_000;

http
  .createServer((req, res) => {
    const asked = { url: req.url };
    setInterval(function poll() {
      return asked;
    }, LATER);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

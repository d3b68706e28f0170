const http = require('node:http');
const shutdown = new Promise(() => {});

http
  .createServer(async (req, res) => {
    await Promise.race([shutdown, Promise.resolve(1)]);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

// A logger of its own for each request: every one stays in `createDebug.instances`.
const http = require('node:http');
const debug = require(process.env.PACKAGE);

http
  .createServer((req, res) => {
    debug(`app:${req.url}`)('asked for');
    res.end('ok');
  })
  .listen(process.env.PORT);

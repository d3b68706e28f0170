// One listener for each request, removed when it is answered: its empty list stays.
const http = require('node:http');
const Emitter = require(process.env.PACKAGE);

const replies = new Emitter();

http
  .createServer((req, res) => {
    const reply = () => {
      replies.off(req.url, reply);
      res.end('ok');
    };
    replies.on(req.url, reply);
    replies.emit(req.url);
  })
  .listen(process.env.PORT);

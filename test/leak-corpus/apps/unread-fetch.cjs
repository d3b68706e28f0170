const http = require('node:http');
const backend = http.createServer((req, res) => res.end('x'.repeat(100_000))).listen(0);
const replies = [];

http
  .createServer(async (req, res) => {
    const reply = await fetch(`http://127.0.0.1:${backend.address().port}/`);
    replies.push(reply);
    res.end(String(reply.status));
  })
  .listen(process.env.PORT || 3000);

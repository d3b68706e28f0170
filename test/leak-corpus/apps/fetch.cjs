const http = require('node:http');
const backend = http.createServer((req, res) => res.end('x'.repeat(10_000))).listen(0);

http
  .createServer(async (req, res) => {
    const reply = await fetch(`http://127.0.0.1:${backend.address().port}/`);
    res.end((await reply.text()).slice(0, 10));
  })
  .listen(process.env.PORT || 3000);

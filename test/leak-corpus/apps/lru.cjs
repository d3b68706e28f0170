const http = require('node:http');
const LIMIT = 2000;
const cache = new Map();
let count = 0;

http
  .createServer((req, res) => {
    count += 1;
    cache.set(`key ${count}`, { count, text: `value ${count}`.repeat(20) });
    if (cache.size > LIMIT) cache.delete(cache.keys().next().value);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

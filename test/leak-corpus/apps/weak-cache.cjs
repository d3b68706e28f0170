const http = require('node:http');
const cache = new Map();
const registry = new FinalizationRegistry((key) => cache.delete(key));
let count = 0;

http
  .createServer((req, res) => {
    count += 1;
    const value = { count, text: `value ${count}`.repeat(20) };
    cache.set(count, new WeakRef(value));
    registry.register(value, count);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

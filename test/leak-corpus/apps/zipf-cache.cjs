const http = require('node:http');
const LIMIT = 1500;
const cache = new Map();

http
  .createServer((req, res) => {
    // Zipf: few keys are asked for often, most of them rarely.
    const key = Math.floor(20_000 ** Math.random());
    const known = cache.get(key) ?? { key, text: `value ${key} `.repeat(30).split(' ') };
    cache.delete(key);
    cache.set(key, known);
    if (cache.size > LIMIT) cache.delete(cache.keys().next().value);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

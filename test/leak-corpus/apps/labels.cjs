const http = require('node:http');
const counters = new Map();
let count = 0;

function increase(labels) {
  const key = JSON.stringify(labels);
  counters.set(key, (counters.get(key) ?? 0) + 1);
}

http
  .createServer((req, res) => {
    count += 1;
    increase({ method: req.method, user: count });
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
const free = [];
let made = 0;
const LIMIT = 200;

function take() {
  if (free.length > 0 && Math.random() < 0.98) return free.pop();
  if (made >= LIMIT) return free.pop() ?? { buffer: [] };
  made += 1;
  return { buffer: new Array(1000).fill(made) };
}

http
  .createServer((req, res) => {
    const connection = take();
    free.push(connection);
    if (free.length > LIMIT) free.length = LIMIT;
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
// Made once, so that each request costs what V8 takes for a number: 16 B, and no table grows.
const readings = new Array(2_000_000).fill(null);
let count = 0;

function keep(value) {
  readings[count] = value;
  count += 1;
}

http
  .createServer((req, res) => {
    keep(Math.random());
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

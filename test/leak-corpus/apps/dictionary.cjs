const http = require('node:http');
const byKey = {};
let count = 0;

function index(value) {
  count += 1;
  byKey[`key-${count}`] = { value, list: [count, count + 1] };
}

http
  .createServer((req, res) => {
    index(req.method);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
let newest = null;
let count = 0;

function append(url) {
  count += 1;
  newest = { number: count, url: `${url}#${count}`, older: newest };
}

http
  .createServer((req, res) => {
    append('/page');
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

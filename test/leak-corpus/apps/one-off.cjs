const http = require('node:http');
let table = null;
let count = 0;

http
  .createServer((req, res) => {
    count += 1;
    if (count === 300) table = Array.from({ length: 50_000 }, (_, i) => ({ i }));
    res.end(String(table?.length));
  })
  .listen(process.env.PORT || 3000);

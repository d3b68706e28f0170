const http = require('node:http');

http
  .createServer((req, res) => {
    const rows = Array.from({ length: 2000 }, (_, i) => ({ i, text: `row ${i}` }));
    res.end(String(rows.length));
  })
  .listen(process.env.PORT || 3000);

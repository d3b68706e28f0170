const http = require('node:http');
const recent = [];

http
  .createServer((req, res) => {
    recent.push({ at: Date.now(), url: req.url, headers: { ...req.headers } });
    if (recent.length > 1000) recent.shift();
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

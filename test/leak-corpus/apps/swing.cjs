const http = require('node:http');
let level = 500;
let items = [];

http
  .createServer((req, res) => {
    level = Math.min(1000, Math.max(100, level + Math.round(Math.random() * 40 - 20)));
    while (items.length < level) items.push({ n: items.length, text: `item ${Math.random()}` });
    items = items.slice(items.length - level);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

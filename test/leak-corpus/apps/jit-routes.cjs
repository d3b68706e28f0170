const http = require('node:http');
const routes = Array.from(
  { length: 400 },
  (_, i) => new Function('a', `let s = ${i}; for (let i = 0; i < 50; i++) s += a * i; return s;`),
);

http
  .createServer((req, res) => {
    const route = routes[Math.floor(Math.random() * routes.length)];
    res.end(String(route(3)));
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
const heartbeats = [];
setInterval(function beat() {
  for (let i = 0; i < 20; i += 1) heartbeats.push({ at: Date.now(), number: heartbeats.length });
}, 10);

http
  .createServer((req, res) => {
    res.end(String(heartbeats.length));
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
const audit = [];

function record(req) {
  audit.push({ at: Date.now(), method: req.method, note: `entry ${audit.length}` });
}

http
  .createServer((req, res) => {
    record(req);
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

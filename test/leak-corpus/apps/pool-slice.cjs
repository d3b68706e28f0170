const http = require('node:http');
const tokens = [];

function issue() {
  // Ten bytes that keep their 8 KiB pool alive, now and then.
  const token = Buffer.from(`token ${tokens.length}`).subarray(0, 10);
  tokens.push(token);
  for (let i = 0; i < 3; i += 1) Buffer.allocUnsafe(2048);
}

http
  .createServer((req, res) => {
    issue();
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
const failures = [];
let count = 0;

function handle() {
  count += 1;
  if (count % 10 === 0)
    failures.push({ count, stack: `Error ${count}`.padEnd(200, '-').split('') });
}

http
  .createServer((req, res) => {
    handle();
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

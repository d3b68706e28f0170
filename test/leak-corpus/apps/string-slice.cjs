const http = require('node:http');
const titles = [];
let count = 0;

function title() {
  count += 1;
  const page = `<title>page number ${count}, long enough to be a slice</title>`.padEnd(20_000, '.');
  titles.push(page.slice(7, 50));
}

http
  .createServer((req, res) => {
    title();
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

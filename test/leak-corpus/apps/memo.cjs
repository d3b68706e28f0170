const http = require('node:http');
const memo = new Map();

function render(url) {
  const known = memo.get(url);
  if (known !== undefined) return known;
  const page = { url, html: `<h1>${url}</h1>`.repeat(10) };
  memo.set(url, page);
  return page;
}

http
  .createServer((req, res) => {
    res.end(render(req.url).html);
  })
  .listen(process.env.PORT || 3000);

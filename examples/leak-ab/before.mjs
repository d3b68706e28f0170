// The release before: recent searches live in a list with a limit.
import http from 'node:http';

const LIMIT = 200;
const recent = [];

http
  .createServer((req, res) => {
    recent.push({ query: req.url, at: Date.now() });
    if (recent.length > LIMIT) recent.shift();
    res.end(`${recent.length} recent searches\n`);
  })
  .listen(process.env.PORT || 3000);

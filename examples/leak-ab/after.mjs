// The release after: "faster", because a Map finds a search at once. Nobody limits it any more.
import http from 'node:http';

const recent = new Map();

http
  .createServer((req, res) => {
    recent.set(req.url, { query: req.url, at: Date.now() });
    res.end(`${recent.size} recent searches\n`);
  })
  .listen(process.env.PORT || 3000);

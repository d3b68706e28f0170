const http = require('node:http');
const details = new WeakMap();
const owner = { name: 'owner' };
details.set(owner, []);

http
  .createServer((req, res) => {
    details.get(owner).push({ at: Date.now(), by: `request ${details.get(owner).length}` });
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

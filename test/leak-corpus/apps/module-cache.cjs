const http = require('node:http');
const path = require('node:path');
const Module = require('node:module');
let count = 0;

function loadFresh() {
  count += 1;
  const file = path.join(__dirname, `config-${count}.js`);
  const fresh = new Module(file, module);
  fresh.exports = { version: count };
  require.cache[file] = fresh;
}

http
  .createServer((req, res) => {
    loadFresh();
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
const path = require('node:path');
// Built by the corpus runner from native.c; keeps 4 KiB of malloc memory for each call.
const { keep } = require(process.env.NATIVE_ADDON || path.join(__dirname, 'native.node'));

http
  .createServer((req, res) => {
    keep();
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

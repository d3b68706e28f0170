// Needs 100 MB from its first moment on.
const ballast = Buffer.alloc(100 * 2 ** 20, 1);
require('node:http')
  .createServer((_, response) => response.end(String(ballast.length)))
  .listen(process.env.PORT);

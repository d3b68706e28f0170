// Closes every connection without an answer.
'use strict';
require('node:http')
  .createServer((req) => req.socket.destroy())
  .listen(0);

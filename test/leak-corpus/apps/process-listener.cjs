const http = require('node:http');
process.setMaxListeners(0);

http
  .createServer((req, res) => {
    const state = { started: Date.now() };
    process.on('warning', function note() {
      return state;
    });
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

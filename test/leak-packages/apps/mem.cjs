// Results that are good for 100 ms, of many different requests: nobody removed them.
const http = require('node:http');
const mem = require(process.env.PACKAGE);

const render = mem((url) => ({ url, html: `<h1>${url}</h1>`.repeat(10) }), { maxAge: 100 });

http.createServer((req, res) => res.end(render(req.url).html)).listen(process.env.PORT);

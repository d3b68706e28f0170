const http = require('node:http');
const store = new Map();
let count = 0;
setInterval(() => {
  const limit = Date.now() - 1000;
  for (const [key, value] of store) if (value.at < limit) store.delete(key);
}, 200).unref();

http
  .createServer((req, res) => {
    count += 1;
    store.set(count, { at: Date.now(), text: `value ${count}`.repeat(10) });
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

const http = require('node:http');
const { AsyncLocalStorage } = require('node:async_hooks');
const storage = new AsyncLocalStorage();
const drained = new Promise(() => {});
let count = 0;

async function later() {
  await drained;
  return storage.getStore();
}

http
  .createServer((req, res) => {
    storage.run({ request: (count += 1), user: `user ${count}` }, () => {
      void later();
      res.end('ok');
    });
  })
  .listen(process.env.PORT || 3000);

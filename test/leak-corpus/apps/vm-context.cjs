const http = require('node:http');
const vm = require('node:vm');
const sandboxes = [];

http
  .createServer((req, res) => {
    const context = vm.createContext({ n: sandboxes.length });
    sandboxes.push(context);
    res.end(String(vm.runInContext('n + 1', context)));
  })
  .listen(process.env.PORT || 3000);

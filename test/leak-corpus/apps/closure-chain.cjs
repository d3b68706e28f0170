const http = require('node:http');
let middleware = () => 0;

function use(n) {
  const before = middleware;
  const label = `layer ${n}`;
  middleware = function layer() {
    return label.length + before.length;
  };
}
let n = 0;

http
  .createServer((req, res) => {
    use((n += 1));
    res.end('ok');
  })
  .listen(process.env.PORT || 3000);

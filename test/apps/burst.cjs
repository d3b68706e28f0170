// Each request leaves 400 KB that is garbage a second after the last one: what a busy app keeps.
let kept = [];
let timer;
require('node:http')
  .createServer((_, response) => {
    kept.push(Array.from({ length: 4000 }, (_, i) => ({ i, text: `${i} of ${kept.length}` })));
    if (kept.length > 300) kept.shift();
    clearTimeout(timer);
    timer = setTimeout(() => (kept = []), 1000);
    response.end('ok');
  })
  .listen(process.env.PORT ?? 0, function () {
    if (process.env.SAY_PORT) console.log(`port ${this.address().port}`);
  });

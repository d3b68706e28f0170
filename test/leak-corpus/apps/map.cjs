const http = require('node:http');
class Session {
  constructor(id, agent) {
    this.id = id;
    this.agent = agent;
    this.pages = [id];
  }
}
const sessions = new Map();
let visitors = 0;

function remember(req) {
  visitors += 1;
  sessions.set(`user-${visitors}`, new Session(visitors, `agent ${visitors}`));
}

http
  .createServer((req, res) => {
    remember(req);
    res.end('hello');
  })
  .listen(process.env.PORT || 3000);

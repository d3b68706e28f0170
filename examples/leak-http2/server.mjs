// One app, two protocols: HTTP/2 as it comes (clear text, prior knowledge), HTTP/1.1 with HTTP2=off.
// It limits streams per session, and forgets to forget the sessions: only HTTP/2 leaks.
import http from 'node:http';
import http2 from 'node:http2';

const isHttp2 = process.env.HTTP2 !== 'off';
const streams = new Map();

const server = isHttp2 ? http2.createServer() : http.createServer();

server.on('request', (req, res) => {
  if (isHttp2) {
    const open = streams.get(req.stream.session) ?? new Set();
    streams.set(req.stream.session, open.add(req.stream));
  }
  res.end('hello\n');
});
server.listen(process.env.PORT || 3000);

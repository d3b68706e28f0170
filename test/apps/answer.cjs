// What every app answers: who it is, what was asked, and how many body bytes came.
'use strict';

/** Answers a request of `http`, `https` or the compat API of `http2`. */
exports.answer = (req, res) => {
  let bytes = 0;
  const { searchParams, pathname } = new URL(req.url, 'http://test');
  const tell = () => {
    res.setHeader('content-type', 'application/json');
    const text = JSON.stringify({ pid: process.pid, url: req.url, bytes });
    res.setHeader('content-length', text.length);
    res.end(text);
  };
  const tellLater = () => {
    const ms = Number(searchParams.get('ms') ?? 0);
    if (ms > 0) setTimeout(tell, ms);
    else tell();
  };
  if (pathname.startsWith('/early')) {
    tell();
    req.resume();
    return;
  }
  if (pathname.startsWith('/events')) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(`data: ${process.pid}\n\n`);
    return;
  }
  req.on('data', (chunk) => {
    bytes += chunk.length;
  });
  req.on('end', tellLater);
};

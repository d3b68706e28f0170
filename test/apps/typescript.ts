import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

interface Answer {
  readonly pid: number;
  readonly url: string;
  readonly bytes: number;
}

createServer((req: IncomingMessage, res: ServerResponse) => {
  let bytes = 0;
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  req.on('end', () => {
    const answer: Answer = { pid: process.pid, url: req.url ?? '', bytes };
    res.end(JSON.stringify(answer));
  });
}).listen(0);

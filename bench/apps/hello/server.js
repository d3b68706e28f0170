import { createServer } from 'node:http';

createServer((_, response) => response.end('hello world\n')).listen(
  Number(process.env.PORT ?? 3000),
);

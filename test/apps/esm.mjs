// ESM with a top-level await before the server exists.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { answer } from './answer.cjs';

await sleep(20);
const server = createServer(answer);
server.listen({ port: 0, host: '127.0.0.1' });

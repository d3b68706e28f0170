/** A port for servers that a script, a bench or a test starts. */
import { createServer } from 'node:net';

/**
 * Below the range from which systems give ports to connections that go out (32768 on Linux, 49152
 * elsewhere): until the server that it is for has it, only another caller of this could take it.
 */
const [FIRST, COUNT] = [16_000, 16_000];

/** More in a row are taken on no machine. */
const TRIES = 50;

/** A port on 127.0.0.1 that was free a moment ago. */
export async function freePort() {
  for (let left = TRIES; left > 0; left--) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`none of ${TRIES} ports is free`);
}

// --- internal ---

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

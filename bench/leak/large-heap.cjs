/**
 * A real process with a heap as large as asked, which leaks one session per request; writes three
 * snapshots of itself, 997 requests apart.
 *
 *   node --max-old-space-size=16384 bench/leak/large-heap.cjs <folder> <megabytes of each file>
 *
 * V8 needs about six times the file's size in memory while it writes one.
 */
const { statSync } = require('node:fs');
const { createServer, get } = require('node:http');
const { join } = require('node:path');
const { writeHeapSnapshot } = require('node:v8');

/** Measured on Node 20 and 24: what one record adds to the file. */
const FILE_BYTES_PER_RECORD = 520;

/** Prime, as `cofferdam leak` does it. */
const REQUESTS_BETWEEN = 997;

class Session {
  constructor(n) {
    this.user = `user ${n}`;
    this.visits = [n];
  }
  age() {
    return this.visits.length;
  }
}

/** The healthy bulk: objects, strings, arrays, doubles and a Map, as a store in memory has them. */
const records = [];
const byName = new Map();

/** The leak. */
const sessions = new Map();

function fill(count) {
  for (let n = 0; n < count; n += 1) {
    const record = {
      id: n,
      name: `record ${n}`,
      tags: [n, n + 1],
      place: { north: n + 0.5, east: n / 3 },
    };
    records.push(record);
    if (n % 4 === 0) byName.set(record.name, record);
  }
}

function remember(n) {
  sessions.set(`session-${n}`, new Session(n));
}

async function main() {
  const [folder, megabytes] = process.argv.slice(2);
  fill(Math.round((Number(megabytes) * 1e6) / FILE_BYTES_PER_RECORD));
  let requests = 0;
  const server = createServer((request, response) => {
    remember((requests += 1));
    response.end('ok');
  });
  // A snapshot takes two minutes: whoever waits meanwhile has not timed out.
  Object.assign(server, { requestTimeout: 0, headersTimeout: 0 });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  const ask = () =>
    new Promise((resolve, reject) => {
      const sent = get({ port, host: '127.0.0.1', agent: false }, (answer) => {
        answer.resume().once('end', resolve);
      });
      sent.once('error', reject);
    });
  for (const name of ['1', '2', '3']) {
    for (let sent = 0; sent < REQUESTS_BETWEEN; sent += 1) await ask();
    const path = join(folder, `${name}.heapsnapshot`);
    const began = performance.now();
    writeHeapSnapshot(path);
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    const peak = (process.resourceUsage().maxRSS / 1e6).toFixed(1);
    console.log(
      `${path}: ${(statSync(path).size / 1e6).toFixed(0)} MB in ${seconds} s, ${peak} GB`,
    );
  }
  process.exit(0);
}
void main();

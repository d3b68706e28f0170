/**
 * The true slope of an app by another way: its handler called without a server, the data heap
 * before and after. Prints bytes per request.
 *
 *   node --expose-gc test/leak-corpus/truth.cjs test/leak-corpus/apps/map.cjs
 *
 * What a Map or an array costs per entry depends on how full it is. So the slope is the mean of
 * five, each from some number of requests to four times as many, from different fillings.
 */
const http = require('node:http');
const path = require('node:path');
const v8 = require('node:v8');

const STARTS = [4000, 4800, 5700, 6700, 8000];
const FACTOR = 4;

/** Requests before the first floor: what compiles and fills once is done then. */
const WARM_UP = 1000;

/** Above it, an eighth of the requests says as much, and fits into memory. */
const LARGE_BYTES = 4096;
const LARGE_SHARE = 1 / 8;

/** Requests of one batch of the load: it is in their URL. */
const BATCH = 400;

const DATA_SPACES = new Set(['old_space', 'large_object_space', 'new_large_object_space']);

let handler;
http.createServer = (given) => {
  handler = given;
  return { listen: () => undefined };
};
require(path.resolve(process.argv[2]));

let served = 0;

/** As the HTTP parser makes it: a flat string of its own. */
function urlOf(number) {
  const first = number - (number % BATCH);
  return Buffer.from(`/?cofferdam=${first}-${(number % BATCH) + 1}`).toString('latin1');
}

const response = {
  /** Sending makes a text flat, whatever it was made of. */
  end: (body) => void (typeof body === 'string' && Buffer.from(body)),
};

async function floorAt(count) {
  while (served < count) {
    handler({ url: urlOf(served), method: 'GET', headers: {} }, response);
    served += 1;
    if (served % BATCH === 0) await new Promise(setImmediate);
  }
  for (let round = 0; round < 4; round += 1) {
    await new Promise(setImmediate);
    globalThis.gc();
  }
  let bytes = 0;
  for (const space of v8.getHeapSpaceStatistics()) {
    if (DATA_SPACES.has(space.space_name)) bytes += space.space_used_size;
  }
  return bytes;
}

async function main() {
  const cold = await floorAt(WARM_UP / 2);
  const warm = await floorAt(WARM_UP);
  const share = (warm - cold) / (WARM_UP / 2) > LARGE_BYTES ? LARGE_SHARE : 1;
  const starts = STARTS.map((start) => WARM_UP + start * share);
  const ends = starts.map((start) => start * FACTOR);
  const floors = new Map();
  for (const count of [...starts, ...ends].toSorted((a, b) => a - b)) {
    floors.set(count, await floorAt(count));
  }
  const slopes = starts.map((start, at) => {
    return (floors.get(ends[at]) - floors.get(start)) / (ends[at] - start);
  });
  console.log(slopes.reduce((sum, slope) => sum + slope, 0) / slopes.length);
  process.exit(0);
}
void main();

/** Clients that come by the clock, whatever becomes of the others, and leave when it takes too long. */
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Starts come in bundles: finer timers only cost CPU. */
const TICK_MS = 10;

/**
 * `rate` requests a second, each on a connection of its own. `failed`: not answered with 2xx within
 * `patienceMs`; latencies (and requests per second) are those of the others.
 */
export async function impatient(url, { seconds, rate, patienceMs }) {
  const tookMs = [];
  const all = [];
  const startedAt = performance.now();
  while (performance.now() - startedAt < seconds * 1000) {
    const due = ((performance.now() - startedAt) / 1000) * rate;
    while (all.length < due) all.push(visit(url, patienceMs).then((ms) => tookMs.push(ms), ignore));
    await sleep(TICK_MS);
  }
  await Promise.all(all);
  tookMs.sort((a, b) => a - b);
  const quantile = (share) =>
    tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * share))];
  return {
    requests: all.length,
    perSecond: tookMs.length / seconds,
    refused: 0,
    p50Ms: quantile(0.5) ?? null,
    p99Ms: quantile(0.99) ?? null,
    maxMs: tookMs.at(-1) ?? null,
    failed: all.length - tookMs.length,
  };
}

// --- internal ---

/** How long it took, in milliseconds; rejects when it was not answered in time, or badly. */
function visit(url, patienceMs) {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const sent = request(url, { agent: false }, (answer) => {
      answer.on('error', reject).resume();
      answer.once('end', () => {
        clearTimeout(patience);
        if (answer.statusCode === 200) resolve(performance.now() - startedAt);
        else reject(new Error(`status ${answer.statusCode}`));
      });
    });
    sent.once('error', reject);
    const patience = setTimeout(() => sent.destroy(new Error('too late')), patienceMs);
    sent.once('error', () => clearTimeout(patience));
    sent.end();
  });
}

function ignore() {}

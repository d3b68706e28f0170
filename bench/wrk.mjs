/** Runs wrk (one thread, closed loop) and reads its report. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * `args`: headers and scripts. Latencies in milliseconds; `failed` counts all but 2xx and 3xx,
 * `refused` those among them that were answered (and are in `requests`).
 */
export async function wrk(url, { seconds, connections, args = [] }) {
  const shape = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '--latency'];
  const { stdout } = await promisify(execFile)('wrk', [...shape, ...args, url]);
  const find = (pattern) => pattern.exec(stdout)?.slice(1) ?? [];
  const errors = find(/Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/);
  const [non2xx = 0] = find(/Non-2xx or 3xx responses: (\d+)/);
  return {
    requests: Number(find(/(\d+) requests in/)[0]),
    perSecond: Number(find(/Requests\/sec:\s+([\d.]+)/)[0]),
    p50Ms: milliseconds(find(/50%\s+([\d.]+)(us|ms|s)/)),
    p99Ms: milliseconds(find(/99%\s+([\d.]+)(us|ms|s)/)),
    maxMs: milliseconds(find(/Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)/)),
    refused: Number(non2xx),
    failed: errors.reduce((sum, count) => sum + Number(count), Number(non2xx)),
  };
}

// --- internal ---

function milliseconds([value, unit]) {
  return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit];
}

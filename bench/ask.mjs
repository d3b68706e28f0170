/** One request on a connection of its own, by HTTP or, for `fcgi:`, by FastCGI. */
import { get } from 'node:http';
import { askFastcgi } from './fastcgi.mjs';

/** Resolves with the status when the whole answer is there; rejects otherwise, or by the signal. */
export function ask(url, signal) {
  return url.startsWith('fcgi:') ? askFastcgi(url, signal) : askHttp(url, signal);
}

// --- internal ---

function askHttp(url, signal) {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false, signal }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode));
      response.once('error', reject);
    });
    request.once('error', reject);
  });
}

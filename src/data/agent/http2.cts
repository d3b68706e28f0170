/** The graceful end of an HTTP/2 session, the same on every Node version. */
import type { ServerHttp2Session } from 'node:http2';

/** How long a client may take to answer the PING that follows the first GOAWAY. */
const PING_TIMEOUT_MS = 1000;

/**
 * The highest stream number: "no new streams, please", while those on their way are still served.
 */
const LAST_STREAM_ID = 2 ** 31 - 1;

const NO_ERROR = 0;

/**
 * GOAWAY that refuses nothing, PING, and when the client has seen both, the GOAWAY that names the
 * last stream. A single GOAWAY would refuse the requests that are already under way.
 */
export function endSession(session: ServerHttp2Session): void {
  if (session.closed || session.destroyed) return;
  let asked = true;
  const close = () => {
    if (!asked) return;
    asked = false;
    clearTimeout(timer);
    if (!session.destroyed) session.close();
  };
  const timer = setTimeout(close, PING_TIMEOUT_MS);
  try {
    session.goaway(NO_ERROR, LAST_STREAM_ID);
    session.ping(close);
  } catch {
    // It ended between the check and the call, or cannot ping: close() is right for both.
    close();
  }
}

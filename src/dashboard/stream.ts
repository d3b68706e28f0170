/** Server-sent events to a few browsers, none of which can cost more than its bound. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A few people and a few forgotten tabs. */
export const VIEWERS_MAX = 16;
/**
 * Beyond its first message a browser may be so far behind, about a minute with four workers; then
 * it is dropped, and finds the whole hour when it comes back.
 */
export const BACKLOG_BYTES_MAX = 64 * 1024;
/** What a browser waits before it comes back. */
const RETRY_MS = 1000;
/** The page asks again by itself after a refusal. */
const REFUSED_RETRY_S = 5;

export interface Stream {
  /** Takes a browser in with its first message, or answers 503 when there are too many. */
  open(request: IncomingMessage, response: ServerResponse, hello: () => object): void;
  /** Sends to all; `make` is called only when somebody watches. */
  send(name: string, make: () => object): void;
  viewers(): number;
  close(): void;
}

export function createStream(): Stream {
  const viewers = new Map<ServerResponse, { readonly backlogMax: number }>();
  return {
    open(request, response, hello) {
      if (viewers.size >= VIEWERS_MAX) {
        response.writeHead(503, { 'Retry-After': REFUSED_RETRY_S }).end();
        return;
      }
      const first = `retry: ${RETRY_MS}\n${frame('hello', hello())}`;
      viewers.set(response, { backlogMax: BACKLOG_BYTES_MAX + Buffer.byteLength(first) });
      response.once('close', () => viewers.delete(response));
      response.on('error', () => viewers.delete(response));
      request.socket.setNoDelay(true);
      // No proxy may gather what is meant to be live.
      response.writeHead(200, {
        'Content-Type': 'text/event-stream; charset=utf-8',
        'X-Accel-Buffering': 'no',
      });
      response.write(first);
    },
    send(name, make) {
      if (viewers.size === 0) return;
      const text = frame(name, make());
      for (const [response, { backlogMax }] of viewers) {
        if (response.writableLength > backlogMax) {
          viewers.delete(response);
          response.destroy();
        } else response.write(text);
      }
    },
    viewers: () => viewers.size,
    close() {
      for (const response of viewers.keys()) response.destroy();
      viewers.clear();
    },
  };
}

// --- internal ---

function frame(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

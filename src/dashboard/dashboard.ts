/**
 * The live page behind `/` of the ops listener: looks at the status each second, remembers an hour
 * of it in bounded memory, and tells whoever watches.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Told } from '../control/types.ts';
import { sendAsset, sendText } from './assets.ts';
import { createEventLog } from './events.ts';
import { createHistory } from './history.ts';
import { createRates } from './rates.ts';
import { createStream } from './stream.ts';
import { statusTable } from './table.ts';
import { FINE_MS } from './track.ts';
import type { Hello, News, PageStatus, PoolPoint, Sample, SlotPoint } from './wire.ts';

export { pageSlot } from './client/slot-name.ts';

export interface DashboardOptions {
  /** Everything that is known now; must not wait for anybody. */
  readonly status: () => PageStatus;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Dashboard {
  /** True when the path is one of the page's and was, or will be, answered. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
  /** An event for the log, the charts and all who watch; of which pool, where it matters. */
  told(told: Told, pool?: string): void;
  close(): void;
}

/** Starts to look at once, each second, without keeping the process alive. */
export function createDashboard({ status, now }: DashboardOptions): Dashboard {
  const history = createHistory();
  const rates = createRates();
  const log = createEventLog();
  const stream = createStream();
  const look = (): void => {
    const seen = status();
    const at = now();
    const slots = rates.update(at, seen);
    const pool = poolPoint(seen, slots);
    history.push(at, pool, slots);
    stream.send('sample', (): Sample => ({
      at,
      status: seen,
      pool,
      slots: Object.fromEntries(slots),
    }));
  };
  const hello = (): Hello => ({
    status: status(),
    history: history.read(),
    marks: log.marks(),
    events: log.events(),
  });
  look();
  const clock = setInterval(look, FINE_MS);
  clock.unref();
  return {
    handle(request, response) {
      const path = /^[^?#]*/.exec(request.url ?? '')?.[0] ?? '';
      if (path !== '/' && !path.startsWith(ASSETS)) return false;
      const refusal = refusalOf(request);
      for (const [name, value] of HEADERS) response.setHeader(name, value);
      if (refusal !== null) {
        if (refusal.status === 405) response.setHeader('Allow', 'GET, HEAD');
        sendText(response, refusal.status, refusal.text);
      } else if (path === '/') {
        sendAsset(response, 'page.html', (html) =>
          html.replace('<!-- status -->', () => statusTable(status())),
        );
      } else if (path === EVENTS && request.method === 'GET') {
        stream.open(request, response, hello);
      } else sendAsset(response, path.slice(ASSETS.length));
      return true;
    },
    told(told, pool) {
      const news: News = log.add(now(), told, pool);
      stream.send('told', () => news);
    },
    close() {
      clearInterval(clock);
      stream.close();
    },
  };
}

// --- internal ---

const ASSETS = '/page/';
const EVENTS = '/page/events';

/** Nothing but our own files, in nobody's frame, remembered by no cache. */
const HEADERS: readonly (readonly [string, string])[] = [
  [
    'Content-Security-Policy',
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ],
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Cache-Control', 'no-store'],
];

interface Refusal {
  readonly status: number;
  readonly text: string;
}

function refusalOf(request: IncomingMessage): Refusal | null {
  // A foreign page cannot read a stream of ours, but it could take up all the seats.
  if (request.headers['sec-fetch-site'] === 'cross-site' && request.url !== '/') {
    return { status: 403, text: 'Not from other sites.\n' };
  }
  if (request.method === 'GET' || request.method === 'HEAD') return null;
  return { status: 405, text: 'The page can only be read.\n' };
}

function poolPoint(status: PageStatus, slots: ReadonlyMap<number, SlotPoint>): PoolPoint {
  const known = [...slots.values()].flatMap(({ requestsPerSecond }) => requestsPerSecond ?? []);
  const sum = (values: readonly number[]): number => values.reduce((all, each) => all + each, 0);
  return {
    treeBytes: status.treeBytes > 0 ? status.treeBytes : null,
    supervisorBytes: status.supervisorBytes > 0 ? status.supervisorBytes : null,
    requestsPerSecond: known.length > 0 ? sum(known) : null,
    p50Ms: status.latency?.p50Ms ?? null,
    p99Ms: status.latency?.p99Ms ?? null,
    inFlight: sum(status.workers.map(({ inFlight }) => inFlight)),
  };
}

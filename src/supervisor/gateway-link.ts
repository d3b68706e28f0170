/**
 * The wire between the workers of a pool and the gateway in front of them. To control such a worker
 * says what any worker says; here its words come from the gateway, which is what speaks to it. Two
 * gateways may live at once (one is being replaced): they share the workers.
 */
import type {
  FromGateway,
  GatewaySettings,
  QueueReport,
  ToGateway,
  UpstreamId,
} from '../data/gateway/messages.ts';
import type { SupervisorMessage, WorkerMessage } from '../protocol.ts';
import { createAsks, type AppAnswer } from './asks.ts';
import {
  isDrained,
  limitLeft,
  reportOf,
  type Behind,
  type Child,
  type ChildPost,
  type End,
  type Farewell,
  type GatewayEnd,
  type Order,
} from './gateway-books.ts';
import { addQueues } from './gateway-reports.ts';

/** A worker as its process knows it: what concerns its requests is done by the gateways. */
export interface Upstream {
  send(message: SupervisorMessage): void;
  /** Its process is gone. */
  remove(): void;
}

export interface GatewayLink {
  attach(end: GatewayEnd): void;
  detach(end: GatewayEnd): void;
  heard(end: GatewayEnd, message: FromGateway): void;
  /**
   * A worker's process was started: from now on the gateways try to reach it. `settled`, once: it
   * drains, and what it keeps open for long is all there. A child has one connection, so one
   * gateway at a time has it.
   */
  add(
    order: Order,
    hear: (message: WorkerMessage) => void,
    more?: { readonly settled?: Farewell; readonly child?: ChildPost },
  ): Upstream;
  configure(settings: GatewaySettings): void;
  /** GET this path in the app, ahead of all that waits; rejects when nobody answers in time. */
  ask(path: string, timeoutMs: number): Promise<AppAnswer>;
  /** What waits in all gateways that live, and what all that there were have counted. */
  queue(): QueueReport | null;
}

export interface GatewayLinkOptions {
  log(message: Extract<FromGateway, { type: 'log' }>): void;
  /** Each second: what waits. */
  onQueue(queue: QueueReport): void;
}

/** The address that such a worker "listens" on: known to nobody else, but there has to be one. */
export const UPSTREAM_KEY = 'gateway#1';

export function createGatewayLink(options: GatewayLinkOptions): GatewayLink {
  const ends = new Map<GatewayEnd, End>();
  const workers = new Map<UpstreamId, Behind>();
  const asks = createAsks();
  let settings: GatewaySettings | null = null;
  /** What gateways counted that have ended: counters only rise. */
  let past: QueueReport | null = null;
  let lastId = 0;

  const tellAll = (message: ToGateway): void => {
    for (const end of ends.keys()) end.post(message);
  };
  /** To those that have it. */
  const tell = ({ child }: Behind, message: ToGateway): void => {
    if (child === null) tellAll(message);
    else child.home?.post(message);
  };
  const newest = (): GatewayEnd | undefined => [...ends.keys()].at(-1);
  const ask = (worker: UpstreamId | null, path: string, timeoutMs: number): Promise<AppAnswer> => {
    const end = newest();
    if (end === undefined) return Promise.reject(new Error('no gateway runs'));
    return asks.ask(GATEWAY, timeoutMs, (id) =>
      end.post({ type: 'ask', id, worker, path, timeoutMs }),
    );
  };

  const offer = (end: GatewayEnd, worker: UpstreamId, behind: Behind): void => {
    const { order, child } = behind;
    const { requests } = reportOf(worker, behind, ends);
    const left = {
      requestLimit: limitLeft(order.requestLimit, requests),
      noticeAt: limitLeft(order.noticeAt, requests),
    };
    if (child === null) return end.post({ type: 'worker', worker, ...order, ...left });
    if (child.home !== null || behind.draining) return;
    child.home = end;
    const { pid, post } = child;
    const taken = [...workers.values()].flatMap((other) => other.child?.pid ?? []);
    const wanted = { pidScript: post.pidScript, pid, taken };
    end.post({ type: 'worker', worker, ...order, ...left, child: wanted });
  };

  return {
    attach(end) {
      ends.set(end, { queue: null, reports: new Map(), settled: new Set(), drained: new Set() });
      if (settings !== null) end.post({ type: 'configure', settings });
      for (const [worker, behind] of workers) offer(end, worker, behind);
    },
    detach(end) {
      const gone = ends.get(end);
      const queue = gone?.queue ?? null;
      if (queue !== null) past = addQueues([{ ...queue, depth: 0 }, past]);
      ends.delete(end);
      for (const [id, behind] of workers) {
        behind.pastRequests += gone?.reports.get(id)?.requests ?? 0;
        // What it was drained of, nobody else will speak of.
        noteSettled(id, behind, ends);
        if (behind.draining && isDrained(id, behind, ends)) behind.hear(DRAINED);
        if (behind.child?.home !== end) continue;
        behind.child.home = null;
        behind.child.post.onLost();
        const next = newest();
        if (next !== undefined) offer(next, id, behind);
      }
    },
    heard: (end, message) => hear({ end, ends, workers, asks, options }, message),
    add(order, hear, { settled, child: post } = {}) {
      lastId += 1;
      const worker = lastId;
      const child: Child | null = post === undefined ? null : { post, pid: null, home: null };
      const behind: Behind = {
        order,
        hear,
        child,
        farewell: null,
        draining: false,
        pastRequests: 0,
      };
      workers.set(worker, behind);
      // The newest first: it is the one that stays.
      for (const end of [...ends.keys()].toReversed()) offer(end, worker, behind);
      return {
        send(message) {
          switch (message.type) {
            case 'drain': {
              behind.draining = true;
              const { deadlineMs, longDeadlineMs } = message;
              behind.farewell = () => settled?.({ deadlineMs, longDeadlineMs });
              tell(behind, { type: 'drain', worker, deadlineMs, longDeadlineMs });
              noteSettled(worker, behind, ends);
              if (ends.size === 0 || child?.home === null) hear(DRAINED);
              return;
            }
            case 'cut':
              return tell(behind, { type: 'cut', worker, scope: message.scope });
            case 'ask':
              return void ask(worker, message.path, message.timeoutMs).then(
                ({ status, type, body }) =>
                  hear({ type: 'answer', id: message.id, status, kind: type, body }),
                (error: Error) =>
                  hear({
                    type: 'answer',
                    id: message.id,
                    status: null,
                    kind: '',
                    body: error.message,
                  }),
              );
            default:
              // Connections are the gateway's, and garbage that of a program we cannot ask.
              return;
          }
        },
        remove() {
          if (!workers.delete(worker)) return;
          tellAll({ type: 'gone', worker });
          for (const end of ends.values()) {
            end.reports.delete(worker);
            end.settled.delete(worker);
            end.drained.delete(worker);
          }
        },
      };
    },
    configure(changed) {
      settings = changed;
      tellAll({ type: 'configure', settings });
    },
    ask: (path, timeoutMs) => ask(null, path, timeoutMs),
    queue: () => addQueues([...[...ends.values()].map(({ queue }) => queue), past]),
  };
}

// --- internal ---

/** Questions go to the gateway as a whole. */
const GATEWAY = 0;

const DRAINED: WorkerMessage = {
  type: 'drained',
  result: { moved: 0, cutRequests: 0, cutLongLived: 0 },
};

interface Hearing {
  readonly end: GatewayEnd;
  readonly ends: ReadonlyMap<GatewayEnd, End>;
  readonly workers: ReadonlyMap<UpstreamId, Behind>;
  readonly asks: ReturnType<typeof createAsks>;
  readonly options: GatewayLinkOptions;
}

function hear({ end, ends, workers, asks, options }: Hearing, message: FromGateway): void {
  const from = ends.get(end);
  if (from === undefined) return;
  switch (message.type) {
    case 'log':
      return options.log(message);
    case 'queue':
      from.queue = message.queue;
      return options.onQueue(message.queue);
    case 'answer':
      return asks.answered(GATEWAY, message);
    default:
  }
  const behind = workers.get(message.worker);
  if (behind === undefined) return;
  switch (message.type) {
    case 'joined':
      return behind.hear(LISTENING);
    case 'refused':
      return behind.hear({ type: 'warm', status: null, message: message.message });
    case 'report': {
      from.reports.set(message.worker, message.report);
      const report = reportOf(message.worker, behind, ends);
      const early = message.early === true;
      return behind.hear({ type: 'report', report, measures: NO_MEASURES, early });
    }
    case 'spent':
      // Its last report says so in numbers, and control decides by these.
      return;
    case 'slow':
    case 'overdue':
      return behind.hear(message);
    case 'settled':
      from.settled.add(message.worker);
      return noteSettled(message.worker, behind, ends);
    case 'child':
      if (behind.child?.home !== end) return;
      behind.child.pid = message.pid;
      return behind.child.post.onChild(message.pid);
    case 'lost':
      if (behind.child?.home === end) behind.child.post.onLost();
      return;
    case 'drained':
      from.drained.add(message.worker);
      if (isDrained(message.worker, behind, ends))
        behind.hear({ type: 'drained', result: message.result });
      return;
  }
}

function noteSettled(worker: UpstreamId, behind: Behind, ends: ReadonlyMap<GatewayEnd, End>): void {
  if (![...ends.values()].every(({ settled }) => settled.has(worker))) return;
  behind.farewell?.();
  behind.farewell = null;
}

const LISTENING: WorkerMessage = {
  type: 'listening',
  key: UPSTREAM_KEY,
  address: { kind: 'unix', path: '' },
  inherited: true,
  scheme: 'http',
  secure: false,
};

/** Requests are measured where they come in: the gateway is a Node worker with books of its own. */
const NO_MEASURES = {
  answers: [],
  durations: [],
  durationSumMs: 0,
  minorGcMs: 0,
  majorGcMs: 0,
  externalBytes: 0,
  eventLoopLagMs: 0,
} as const;

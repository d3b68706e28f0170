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
import type { SupervisorMessage, WorkerMessage, WorkerReport } from '../protocol.ts';
import { createAsks, type AppAnswer } from './asks.ts';

/** How a worker is reached, and what for. */
export type Order = Omit<Extract<ToGateway, { type: 'worker' }>, 'type' | 'worker'>;

/** A worker as its process knows it: what concerns its requests is done by the gateways. */
export interface Upstream {
  send(message: SupervisorMessage): void;
  /** Its process is gone. */
  remove(): void;
}

/** One gateway process. */
export interface GatewayEnd {
  post(message: ToGateway): void;
}

export interface GatewayLink {
  attach(end: GatewayEnd): void;
  detach(end: GatewayEnd): void;
  heard(end: GatewayEnd, message: FromGateway): void;
  /** A worker's process was started: from now on the gateways try to reach it. */
  add(order: Order, hear: (message: WorkerMessage) => void): Upstream;
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
  const newest = (): GatewayEnd | undefined => [...ends.keys()].at(-1);
  const ask = (worker: UpstreamId | null, path: string, timeoutMs: number): Promise<AppAnswer> => {
    const end = newest();
    if (end === undefined) return Promise.reject(new Error('no gateway runs'));
    return asks.ask(GATEWAY, timeoutMs, (id) =>
      end.post({ type: 'ask', id, worker, path, timeoutMs }),
    );
  };

  return {
    attach(end) {
      ends.set(end, { queue: null, reports: new Map(), drained: new Set() });
      if (settings !== null) end.post({ type: 'configure', settings });
      for (const [worker, behind] of workers) {
        const requestLimit = limitLeft(worker, behind, ends);
        end.post({ type: 'worker', worker, ...behind.order, requestLimit });
      }
    },
    detach(end) {
      const gone = ends.get(end);
      const queue = gone?.queue ?? null;
      if (queue !== null) past = addQueues([{ ...queue, depth: 0 }, past]);
      ends.delete(end);
      for (const [id, behind] of workers) {
        behind.pastRequests += gone?.reports.get(id)?.requests ?? 0;
        // What it was drained of, nobody else will speak of.
        if (behind.draining && isDrained(id, ends)) behind.hear(DRAINED);
      }
    },
    heard: (end, message) => hear({ end, ends, workers, asks, options }, message),
    add(order, hear) {
      lastId += 1;
      const worker = lastId;
      const behind: Behind = { order, hear, draining: false, pastRequests: 0 };
      workers.set(worker, behind);
      tellAll({ type: 'worker', worker, ...order });
      return {
        send(message) {
          switch (message.type) {
            case 'drain': {
              behind.draining = true;
              const { deadlineMs, longDeadlineMs } = message;
              tellAll({ type: 'drain', worker, deadlineMs, longDeadlineMs });
              if (ends.size === 0) hear(DRAINED);
              return;
            }
            case 'cut':
              return tellAll({ type: 'cut', worker, scope: message.scope });
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
          for (const { reports, drained } of ends.values()) {
            reports.delete(worker);
            drained.delete(worker);
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

interface End {
  queue: QueueReport | null;
  readonly reports: Map<UpstreamId, WorkerReport>;
  readonly drained: Set<UpstreamId>;
}

interface Behind {
  readonly order: Order;
  readonly hear: (message: WorkerMessage) => void;
  draining: boolean;
  /** Those that it answered through gateways that are gone. */
  pastRequests: number;
}

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
      const report = addReports(reportsOf(message.worker, ends), behind.pastRequests);
      return behind.hear({ type: 'report', report, measures: NO_MEASURES });
    }
    case 'spent':
      // Its last report says so in numbers, and control decides by these.
      return;
    case 'slow':
    case 'overdue':
      return behind.hear(message);
    case 'drained':
      from.drained.add(message.worker);
      if (isDrained(message.worker, ends)) behind.hear({ type: 'drained', result: message.result });
      return;
  }
}

function isDrained(worker: UpstreamId, ends: ReadonlyMap<GatewayEnd, End>): boolean {
  return [...ends.values()].every(({ drained }) => drained.has(worker));
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

function reportsOf(worker: UpstreamId, ends: Hearing['ends']): readonly WorkerReport[] {
  return [...ends.values()].flatMap(({ reports }) => reports.get(worker) ?? []);
}

/**
 * How many requests another gateway may still give it; 0 = no limit. What a gateway that was killed
 * gave it since its last report nobody knows: so many it may get too many.
 */
function limitLeft(
  worker: UpstreamId,
  { order, pastRequests }: Behind,
  ends: Hearing['ends'],
): number {
  if (order.requestLimit === 0) return 0;
  const { requests } = addReports(reportsOf(worker, ends), pastRequests);
  return Math.max(1, order.requestLimit - requests);
}

function addReports(reports: readonly WorkerReport[], pastRequests: number): WorkerReport {
  const sum = (read: (report: WorkerReport) => number): number =>
    reports.reduce((total, report) => total + read(report), 0);
  return {
    requests: pastRequests + sum(({ requests }) => requests),
    inFlight: sum(({ inFlight }) => inFlight),
    longLived: sum(({ longLived }) => longLived),
    connections: sum(({ connections }) => connections),
    heapUsedBytes: 0,
    eventLoopUtilization: Math.min(
      1,
      sum(({ eventLoopUtilization }) => eventLoopUtilization),
    ),
  };
}

function addQueues(queues: readonly (QueueReport | null)[]): QueueReport | null {
  const [first, ...others] = queues.filter((queue) => queue !== null);
  if (first === undefined) return null;
  const addLists = (a: readonly number[], b: readonly number[]): number[] =>
    a.map((value, index) => value + (b[index] ?? 0));
  return others.reduce(
    (sum, queue) => ({
      depth: sum.depth + queue.depth,
      limit: Math.max(sum.limit, queue.limit),
      waits: addLists(sum.waits, queue.waits),
      waitSumMs: sum.waitSumMs + queue.waitSumMs,
      rejected: addLists(sum.rejected, queue.rejected),
      abandoned: sum.abandoned + queue.abandoned,
      retried: sum.retried + queue.retried,
    }),
    first,
  );
}

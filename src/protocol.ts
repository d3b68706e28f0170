/**
 * What supervisor and worker say to each other over the IPC channel. Types and constants only: the
 * agent lives inside the user's process, so this file must cost it nothing.
 *
 * Every message carries `cmd: 'NODE_COFFERDAM'`. Node delivers messages whose `cmd` starts with
 * `NODE_` as `internalMessage`, so the app's own `process.on('message')` never sees ours, and ours
 * never keep the app alive.
 */

export const MESSAGE_COMMAND = 'NODE_COFFERDAM';

/**
 * Name of the environment variable that carries {@link WorkerBrief}; the agent removes it at once.
 */
export const BRIEF_VARIABLE = 'COFFERDAM_WORKER';

/**
 * Which address the app asked for, the same in every worker of a pool:
 * `tcp:<host or *>:<port>#<n>` or `unix:<absolute path>#<n>`; n counts equal requests from 1
 * (an app that asks twice for port 0 gets two sockets).
 */
export type ListenKey = string;

/** What a worker inherits: a descriptor, and the address it stands for. */
export interface InheritedSocket {
  readonly key: ListenKey;
  readonly fd: number;
  /** Of a unix socket, which does not know its name; it may stand for a port. */
  readonly path?: string;
}

/** What a worker is told at birth, before the first line of the app runs. */
export interface WorkerBrief {
  readonly slot: number;
  readonly generation: number;
  /** Listening sockets that the worker inherits, by the address it will ask for. */
  readonly listeners: readonly InheritedSocket[];
  /**
   * Set when the user named an address: the app's first TCP listen is moved there, whatever it
   * asked for. `key` of such a listen is still the one that the app asked for.
   */
  readonly address: { readonly port: number | null; readonly host: string | null } | null;
  /** Milliseconds between two reports. */
  readonly reportIntervalMs: number;
  /** The agent reports at once when this many requests were served; 0 = never. */
  readonly requestLimit: number;
  /** GET this path inside the worker before it counts as ready; null = no warm-up request. */
  readonly warmupPath: string | null;
  /** Whether idle keep-alive connections may be handed to a sibling. */
  readonly handover: boolean;
  /** False for a worker that is kept for health checks: it listens only for show. */
  readonly accept?: boolean;
  /** The supervisor accepts on the sockets it inherits, and needs copies to let go of its own. */
  readonly lend?: boolean;
  /** Milliseconds the worker may go on finishing requests when its supervisor dies. */
  readonly orphanGraceMs: number;
  /** Whose child it is; absent where a script may stand between them (`leak` with another Node). */
  readonly parentPid?: number;
}

/** Counters of one worker since its birth, and gauges of this moment. */
export interface WorkerReport {
  /** Requests answered (response finished or connection gone), warm-up excluded. */
  readonly requests: number;
  /** Requests and HTTP/2 streams being served, long-lived ones included. */
  readonly inFlight: number;
  /** Upgraded connections (WebSocket) and event streams (SSE): drained under their own deadline. */
  readonly longLived: number;
  /** Open client connections. */
  readonly connections: number;
  /** V8 heap in use, bytes. */
  readonly heapUsedBytes: number;
  /** Share of the last interval in which the event loop was busy, 0..1. */
  readonly eventLoopUtilization: number;
}

/** How an answer ended: its status class, or its client was gone before. */
export const ANSWER_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx', 'aborted'] as const;

/** Why a request got no worker from the queue of a gateway. */
export const REJECTIONS = ['queue_full', 'queue_timeout', 'no_worker', 'bad_request'] as const;

/** Upper ends of the duration buckets, milliseconds: those that OpenTelemetry advises for HTTP. */
export const DURATION_BOUNDS_MS = [
  5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000,
] as const;

/** What only metrics want to know of a worker. All but the gauges count from its birth. */
export interface WorkerMeasures {
  /** In the order of {@link ANSWER_CLASSES}. */
  readonly answers: readonly number[];
  /** One count per bound of {@link DURATION_BOUNDS_MS} and one for the rest; none are aborted. */
  readonly durations: readonly number[];
  readonly durationSumMs: number;
  /** Collections of the young generation, and all others. */
  readonly minorGcMs: number;
  readonly majorGcMs: number;
  /** Gauge: memory outside the V8 heap that belongs to its objects. */
  readonly externalBytes: number;
  /** Gauge: the longest time since the last report in which the event loop did not turn. */
  readonly eventLoopLagMs: number;
}

/** What was done with the connections of a worker that was drained. */
export interface DrainResult {
  /** Idle keep-alive connections handed to a sibling. */
  readonly moved: number;
  /** Requests that were cut because the deadline came. */
  readonly cutRequests: number;
  /** Long-lived connections that were cut because their deadline came. */
  readonly cutLongLived: number;
}

/** A request that takes long, as far as the gateway knows it. */
export interface LateRequest {
  readonly method: string;
  readonly target: string;
  /** The PHP script; null where there is none. */
  readonly script: string | null;
  readonly tookMs: number;
}

export type WorkerMessage =
  /** The agent is loaded; the app's first line has not run yet. */
  | { readonly type: 'hello'; readonly handover: boolean; readonly node: string }
  /**
   * A server listens. With `inherited: false` the message carries the listening handle (the raw
   * `TCP` or `Pipe` wrap), which the supervisor keeps for all later workers; otherwise it does so
   * only if the worker was told to `lend` it.
   */
  | {
      readonly type: 'listening';
      readonly key: ListenKey;
      readonly address: ListenAddress;
      readonly inherited: boolean;
      /** The key of the activated socket that it took, the first worker to ask for an address. */
      readonly activated?: ListenKey;
      readonly scheme: 'http' | 'https' | 'http2' | 'tcp';
      /** Whether it wants TLS; HTTP/2 may be spoken without. */
      readonly secure: boolean;
    }
  | {
      readonly type: 'listen_failed';
      readonly key: ListenKey;
      readonly code: string;
      readonly message: string;
    }
  /** The warm-up request was answered; when it failed `status` is null, and `message` says it. */
  | { readonly type: 'warm'; readonly status: number | null; readonly message: string }
  | {
      readonly type: 'report';
      readonly report: WorkerReport;
      readonly measures: WorkerMeasures;
      /** Out of turn, for its requests have become many: its memory is not looked at. */
      readonly early?: boolean;
    }
  /**
   * One idle connection, whose raw handle comes along, for a sibling that listens on `key`. `fresh`
   * (no request ever came on it) goes into the `adopt` that passes it on.
   */
  | {
      readonly type: 'connection';
      readonly key: ListenKey;
      readonly id: number;
      readonly fresh: boolean;
    }
  /** The sibling took the connection over; the supervisor may close its copy. */
  | { readonly type: 'adopted'; readonly id: number; readonly ok: boolean }
  /** What the app answered to an `ask`; `status` is null when it did not. */
  | {
      readonly type: 'answer';
      readonly id: number;
      readonly status: number | null;
      /** `content-type` of the answer; empty when there was none. */
      readonly kind: string;
      /** The beginning of the body, or why there was no answer. */
      readonly body: string;
    }
  /** It has collected its garbage, in so many milliseconds. */
  | { readonly type: 'healed'; readonly tookMs: number }
  /**
   * Told by the gateway. `slow`: a request has run for longer than the slow log allows, and still
   * runs. `overdue`: it ran past its deadline, the worker hangs in it.
   */
  | ({ readonly type: 'slow' | 'overdue' } & LateRequest)
  /** Nothing is left: the worker may be ended. */
  | { readonly type: 'drained'; readonly result: DrainResult };

export type SupervisorMessage =
  /** Stop accepting, finish what is there, hand idle connections back. */
  | {
      readonly type: 'drain';
      readonly deadlineMs: number;
      readonly longDeadlineMs: number;
      /** False when nobody will be there to take connections over: the whole pool stops. */
      readonly handover: boolean;
      /** The whole pool stops: an idle connection has nothing to wait for. */
      readonly final: boolean;
    }
  /** The gateway drains this worker: only the app is told, for whatever it keeps open for long. */
  | { readonly type: 'leaving'; readonly deadlineMs: number; readonly longDeadlineMs: number }
  /** Collect garbage now; answer with `healed`, or not at all if that cannot be done. */
  | { readonly type: 'heal' }
  /** A deadline came: end these connections now, then say `drained` when nothing is left. */
  | { readonly type: 'cut'; readonly scope: 'requests' | 'all' }
  /** GET this path inside the worker, past its traffic; `answer` follows within `timeoutMs`. */
  | { readonly type: 'ask'; readonly id: number; readonly path: string; readonly timeoutMs: number }
  /** A listening socket that a sibling bound after this worker was born; its handle comes along. */
  | { readonly type: 'listener'; readonly key: ListenKey }
  /** A connection of a sibling, whose raw handle comes along; answer with `adopted`. */
  | {
      readonly type: 'adopt';
      readonly key: ListenKey;
      readonly id: number;
      readonly fresh: boolean;
      /** Past `maxConnections`: nobody has room, and the client was let in once. */
      readonly evenIfFull: boolean;
    };

/** Where a server really listens. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** A message as it goes over the channel. */
export type Envelope<T> = T & { readonly cmd: typeof MESSAGE_COMMAND };

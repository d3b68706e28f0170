/**
 * What supervisor and gateway say to each other, over the gateway's plain IPC channel. To the
 * supervisor the gateway is a worker like any Node app (agent, drain, hand-over of connections);
 * these messages are only about the workers behind it. Types only.
 */
import type { DrainResult, LateRequest, WorkerReport } from '../../protocol.ts';
import type { UpstreamAddress } from './types.ts';

/** Identity of a worker behind the gateway: the supervisor's WorkerId. */
export type UpstreamId = number;

export type ToGateway =
  | { readonly type: 'configure'; readonly settings: GatewaySettings }
  /**
   * A process was started for this worker: connect until it answers (and warms up), then say
   * `joined`; from then on it is in rotation.
   */
  | {
      readonly type: 'worker';
      readonly worker: UpstreamId;
      readonly slot: number;
      readonly address: UpstreamAddress;
      /** Requests it may hold at once; 0 = no bound (an HTTP service). */
      readonly concurrency: number;
      /** It never gets more requests than this; 0 = no limit. `spent` is said when it got them. */
      readonly requestLimit: number;
      /** It is reported at once when it has answered so many: its replacement begins; 0 = never. */
      readonly noticeAt: number;
      /** GET this before it counts as joined; null = the connection is enough. */
      readonly warmupPath: string | null;
      /** Kept for health asks: never gets the public's requests. */
      readonly reserved: boolean;
      /** It is one of the children of who listens there; absent = the address is its own. */
      readonly child?: ChildOrder;
    }
  /**
   * No new requests for it; say `drained` when it holds none. The deadlines are the supervisor's to
   * keep (it says `cut`), as with the agent.
   */
  | {
      readonly type: 'drain';
      readonly worker: UpstreamId;
      readonly deadlineMs: number;
      readonly longDeadlineMs: number;
    }
  | { readonly type: 'cut'; readonly worker: UpstreamId; readonly scope: 'requests' | 'all' }
  /** Its process is gone. */
  | { readonly type: 'gone'; readonly worker: UpstreamId }
  /** GET this path in the app, ahead of everything that waits; `answer` follows in any case. */
  | {
      readonly type: 'ask';
      readonly id: number;
      readonly worker: UpstreamId | null;
      readonly path: string;
      readonly timeoutMs: number;
    };

/** Which child of a php-cgi parent a worker may be. */
export interface ChildOrder {
  /** Path of the script by which a child tells its pid. */
  readonly pidScript: string;
  /** The one that it is already, by another gateway that is gone; null = any that is nobody's. */
  readonly pid: number | null;
  /** Those of all other workers, also of those that are about to end. */
  readonly taken: readonly number[];
}

export type FromGateway =
  | { readonly type: 'joined'; readonly worker: UpstreamId }
  /** A worker that is a child: this one, and it has a connection. Before `joined`. */
  | { readonly type: 'child'; readonly worker: UpstreamId; readonly pid: number }
  /** That connection is closed: whether its process is there, only its pid can tell from now on. */
  | { readonly type: 'lost'; readonly worker: UpstreamId }
  /** It cannot be reached, or the warm-up request failed: `message` is the whole sentence. */
  | { readonly type: 'refused'; readonly worker: UpstreamId; readonly message: string }
  /** `early`: not by the clock. */
  | {
      readonly type: 'report';
      readonly worker: UpstreamId;
      readonly report: WorkerReport;
      readonly early?: true;
    }
  /** It was given its last request (limit reached); it stays out of rotation. */
  | { readonly type: 'spent'; readonly worker: UpstreamId }
  /** It drains, and none of its requests can become a long-lived one any more. */
  | { readonly type: 'settled'; readonly worker: UpstreamId }
  | { readonly type: 'drained'; readonly worker: UpstreamId; readonly result: DrainResult }
  /**
   * `slow`: a request that still runs has taken longer than `slowLogMs`. `overdue`: it ran past its
   * deadline, the worker is stuck in it. One that holds a single request (`concurrency: 1`) gets
   * no other from now on.
   */
  | ({ readonly type: 'slow' | 'overdue'; readonly worker: UpstreamId } & LateRequest)
  | {
      readonly type: 'answer';
      readonly id: number;
      readonly status: number | null;
      readonly kind: string;
      readonly body: string;
    }
  | { readonly type: 'queue'; readonly queue: QueueReport }
  | {
      readonly type: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly event: string;
      readonly fields: Readonly<Record<string, string | number | boolean | null>>;
    };

/** Counters since the gateway's birth, and gauges of this moment. */
export interface QueueReport {
  readonly depth: number;
  readonly limit: number;
  /** Like WorkerMeasures.durations: one count per bound of DURATION_BOUNDS_MS, and the rest. */
  readonly waits: readonly number[];
  readonly waitSumMs: number;
  /** In the order of `REJECTIONS`. */
  readonly rejected: readonly number[];
  /** Left the queue because their client had gone. */
  readonly abandoned: number;
  /** Sent to a second worker because the first died before it answered. */
  readonly retried: number;
  /** Got no answer, or half of one, because their worker ended. */
  readonly lost: number;
}

/** What may change while the gateway runs. */
export interface GatewaySettings {
  /** How workers are spoken to. */
  readonly kind: 'http' | 'fastcgi';
  /** Waiting requests; more are answered 503 with Retry-After. */
  readonly queueLength: number;
  readonly queueTimeoutMs: number;
  /** From the moment a worker gets the request to the end of its answer; 0 = none. */
  readonly requestTimeoutMs: number;
  /** How long a client may take nothing of an answer that is there for it; 0 = for ever. */
  readonly sendTimeoutMs: number;
  /** A request slower than this is told while it runs, and logged when it is over; 0 = never. */
  readonly slowLogMs: number;
  /** Whether workers that fall silent are asked, and not reported on until they answer. */
  readonly watched: boolean;
  readonly bodyLimitBytes: number;
  /** Bodies above this are spooled to a file before a FastCGI worker gets them. */
  readonly spoolAboveBytes: number;
  /** Addresses or CIDR ranges whose X-Forwarded-* are believed. */
  readonly trustedProxies: readonly string[];
  /** Requests for this path wait in the probe lane; null = none do. */
  readonly probePath: string | null;
  /** Files: real folder; null = everything goes to the app. */
  readonly root: string | null;
  readonly php: {
    /** Extensions that run, with the dot. */
    readonly extensions: readonly string[];
    /** Looked for in a folder. */
    readonly index: string;
    /** Relative to the root: gets whatever names no file; null = 404. */
    readonly frontController: string | null;
    /** Whether X-Accel-Redirect / X-Sendfile below these folders are followed. */
    readonly sendfileRoots: readonly string[];
  } | null;
}

/** What a gateway is born with; in the environment variable of this name, as JSON. */
export const GATEWAY_VARIABLE = 'COFFERDAM_GATEWAY';

export interface GatewayBrief {
  readonly listen: { readonly port: number; readonly host: string } | { readonly path: string };
  /** Files, read again when they change; null = plain HTTP/1.1. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  readonly settings: GatewaySettings;
}

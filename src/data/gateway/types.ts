/**
 * The rooms of the gateway and what they hand each other: a visit (one request on its way) and a
 * forwarder (how a visit reaches a worker of one kind).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Duplex, Readable } from 'node:stream';
import type { EarlyBytes } from './upgrade.ts';

/** Where a worker listens, from the gateway's point of view. */
export type UpstreamAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Who sent the request, as far as it may be believed (trusted proxies are resolved already). */
export interface VisitorFacts {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly scheme: 'http' | 'https';
  /** `Host` or `:authority`, one valid value; empty when an HTTP/1.0 client sent none. */
  readonly host: string;
  /** Trusted proxies that the request came through, the nearest last; none = absent. */
  readonly via?: readonly string[];
  /** What a trusted proxy says the client asked for, where that is not `host`. */
  readonly forwardedHost?: string;
}

/** The body of a request; the length is exact when it was held back (buffered or spooled). */
export interface VisitBody {
  /** Bytes, or null while it streams with an unknown length. */
  readonly length: number | null;
  /** A fresh stream over the body; may be called again (for a retry) only if `replayable`. */
  open(): Readable;
  readonly replayable: boolean;
  /** All of it, where it is in memory; else null. */
  pieces?(): readonly Buffer[] | null;
}

/** Why a visit was ended before its answer. */
export type AbortReason = 'client_gone' | 'deadline' | 'cut';

/** What we need of an AbortSignal (each is one of these). A listener is told once. */
export interface VisitSignal {
  readonly aborted: boolean;
  /** An {@link AbortReason} once it is aborted. */
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** One request on its way through the gateway. */
export interface Visit {
  readonly id: number;
  readonly request: IncomingMessage | Http2ServerRequest;
  readonly response: ServerResponse | Http2ServerResponse;
  readonly method: string;
  /** Request target in origin form, as received: path and query. */
  readonly target: string;
  readonly visitor: VisitorFacts;
  readonly body: VisitBody;
  /**
   * Aborted when the client is gone (reason 'client_gone'), time is up ('deadline'), or its worker
   * has to leave ('cut').
   */
  readonly signal: VisitSignal;
  /** The client asks for another protocol on this connection; `response` only refuses it. */
  readonly tunnel?: Tunnel;
  /** To be called once if the answer is a stream of events: it has its own deadline. */
  onLongLived?(): void;
}

/** A connection that may become a WebSocket; `early` is what came behind the request. */
export interface Tunnel {
  readonly socket: Duplex;
  readonly early: EarlyBytes;
}

export type ForwardResult =
  /** The answer went out whole. */
  | { readonly type: 'answered'; readonly status: number }
  /**
   * It did not. `unsent`: no byte of the request reached the worker (anybody may try again);
   * `unanswered`: no byte of an answer came (idempotent requests may try again); `cut`: the client
   * has part of the answer; `aborted`: the visit's signal ended it; `fault`: it was our own.
   */
  | {
      readonly type: 'failed';
      readonly stage: 'unsent' | 'unanswered' | 'cut' | 'aborted' | 'fault';
      readonly detail: string;
    };

/** One worker as a forwarder reaches it; holds its connections. */
export interface Upstream {
  /** Never rejects. The last visit (`last`) leaves no connection behind at the worker. */
  forward(visit: Visit, options: { readonly last: boolean }): Promise<ForwardResult>;
  /**
   * Whether the worker answers; where absent, a connection to its address tells. Rejects with a
   * sentence when it never will.
   */
  check?(): Promise<boolean>;
  /**
   * Whether it says anything to anybody; to be called each second, where it is watched. `isIdle`:
   * nobody waits for it.
   */
  hasPulse?(isIdle: boolean): boolean;
  /** Closes idle connections and keeps none from now on; what is in flight goes on. */
  release(): void;
  /** Breaks what is in flight too. */
  destroy(): void;
}

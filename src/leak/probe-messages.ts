/**
 * What the experiment and the probe inside the app say to each other over the IPC channel. Types
 * only.
 */

/** Node delivers `NODE_*` commands apart, so the app never sees them. */
export const PROBE_COMMAND = 'NODE_COFFERDAM_LEAK';

export type ProbeRequest =
  /** Collect garbage twice, then measure. */
  | { readonly type: 'sample' }
  | { readonly type: 'snapshot'; readonly path: string }
  /** Start (or start anew) the sampling heap profile. */
  | { readonly type: 'profile_start'; readonly intervalBytes: number }
  | { readonly type: 'profile' }
  /** Record where descriptors, handles and timers are made, from now on. */
  | { readonly type: 'sites_start' }
  | { readonly type: 'sites' };

/** What the process knows of itself at a checkpoint; bytes. The rest is read from outside. */
export interface ProbeSample {
  /**
   * Old and large-object space after two collections. Not `heapUsed`: JIT code and its bytecode
   * come and go, and were five times noisier.
   */
  readonly heapBytes: number;
  readonly heapUsedBytes: number;
  readonly heapTotalBytes: number;
  /** Heap in use just before the collection: the top of the sawtooth. */
  readonly heapBeforeBytes: number;
  /** Where V8 gives up. */
  readonly heapLimitBytes: number;
  readonly externalBytes: number;
  readonly arrayBuffersBytes: number;
  readonly mallocedBytes: number;
  readonly nativeContexts: number;
  readonly detachedContexts: number;
  /** Active handles, requests and timers by type (unreferenced timers are not listed by Node). */
  readonly resources: Readonly<Record<string, number>>;
  readonly listeners: number;
  readonly rssBytes: number;
}

/** A node of V8's sampling heap profile; lines count from 0. */
export interface ProfileNode {
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

/** Things that were made and not ended, by the stack that made them. */
export interface Site {
  /** `file descriptor`, `Timeout`, `TCPSocketWrap`… */
  readonly what: string;
  readonly stack: string;
  readonly count: number;
}

export type ProbeReply =
  | { readonly type: 'sample'; readonly sample: ProbeSample }
  | { readonly type: 'done' }
  | { readonly type: 'profile'; readonly head: ProfileNode }
  | { readonly type: 'sites'; readonly sites: readonly Site[] }
  | { readonly type: 'error'; readonly message: string };

export type ProbeEnvelope<T> = T & { readonly cmd: typeof PROBE_COMMAND; readonly id: number };

/** What the workers say, turned into pool events and into the books. */
import type { PoolEvent, WorkerId } from '../control/types.ts';
import type { Ledger } from '../metrics/ledger.ts';
import type { LateRequest, ListenKey, WorkerMessage } from '../protocol.ts';
import type { Asks } from './asks.ts';
import type { Listener, Listeners } from './listeners.ts';
import type { Readiness } from './readiness.ts';
import type { Relay } from './relay.ts';
import type { RawHandle, WorkerProcess } from './worker-process.ts';

/** A worker process, and what is known of it beyond what control knows. */
export interface Member {
  readonly slot: number;
  readonly process: WorkerProcess;
  readonly readiness: Readiness;
  /** Addresses it listens on. */
  readonly heard: Set<ListenKey>;
  phase: 'booting' | 'ready' | 'draining';
  connections: number;
  reportedAt: number;
  listenFailure: string | null;
}

export interface HearingOptions {
  readonly ledger: Ledger;
  readonly listeners: Listeners;
  emit(event: PoolEvent): void;
  onListening(listener: Omit<Listener, 'fd'>): void;
  /** An app may swallow this error, and then nobody would know. */
  onListenFailure(message: string): void;
  /**
   * A worker became ready (its memory at this moment is its floor), or sent a report (so that
   * memory and requests are of one moment).
   */
  onMoment(worker: WorkerId, pid: number): void;
  /** A worker sent what no agent sends. */
  onBadMessage(problem: BadMessage): void;
  /** A request takes long, or ran past its deadline. */
  onLate(request: LateRequestAt): void;
  onHealed(worker: WorkerId, pid: number, tookMs: number): void;
  now(): number;
}

export interface BadMessage {
  readonly slot: number;
  readonly pid: number | undefined;
  readonly detail: string;
  /** It is killed for it. */
  readonly ended: boolean;
}

export interface LateRequestAt extends LateRequest {
  readonly type: 'slow' | 'overdue';
  readonly slot: number;
  readonly pid: number | undefined;
}

export interface Hearing {
  readonly worker: WorkerId;
  readonly member: Member;
  readonly relay: Relay;
  readonly asks: Asks;
  readonly options: HearingOptions;
  /** Gives a socket that is new to the siblings, who did not inherit it. */
  readonly share: (key: ListenKey, handle: RawHandle) => void;
}

/** A handle that comes along belongs to whom the message is for. */
export function receive(to: Hearing, message: WorkerMessage, handle: RawHandle | undefined): void {
  const { worker, member, relay, asks, options } = to;
  switch (message.type) {
    case 'hello':
      return;
    case 'listening':
      keepListener(to, message, handle);
      member.heard.add(message.key);
      member.readiness.listening(message.key);
      return;
    case 'listen_failed':
      listenFailed(to, message);
      return;
    case 'warm': {
      const failed = member.readiness.warm(message.status);
      if (!failed) return;
      const { status, message: problem } = message;
      const detail = status === null ? problem : `the warm-up request was answered ${status}`;
      options.emit({ type: 'boot_failed', worker, message: detail, retryAtOnce: false });
      return;
    }
    case 'report':
      member.connections = message.report.connections;
      member.reportedAt = options.now();
      options.ledger.report(worker, member.slot, message, member.reportedAt);
      options.emit({
        type: 'report',
        worker,
        report: message.report,
        lagMs: message.measures.eventLoopLagMs,
      });
      // Growth is judged by the second: a gust of requests would look like a flood.
      if (message.early === true) return;
      if (member.process.pid !== undefined) options.onMoment(worker, member.process.pid);
      return;
    case 'healed':
      if (member.process.pid === undefined) return;
      options.onHealed(worker, member.process.pid, message.tookMs);
      return;
    case 'connection':
      if (handle !== undefined) relay.offer(message.key, handle, message.fresh);
      return;
    case 'adopted':
      relay.adopted(worker, message.id, message.ok);
      return;
    case 'answer':
      asks.answered(worker, message);
      return;
    case 'slow':
    case 'overdue': {
      const { type, method, target, script, tookMs } = message;
      const { pid } = member.process;
      options.onLate({ type, slot: member.slot, pid, method, target, script, tookMs });
      if (type === 'overdue') options.emit({ type, worker });
      return;
    }
    case 'drained':
      options.ledger.drained(worker, message.result);
      options.emit({ type: 'drained', worker, result: message.result });
      return;
  }
}

// --- internal ---

function keepListener(
  { options, share }: Hearing,
  message: Extract<WorkerMessage, { type: 'listening' }>,
  handle: RawHandle | undefined,
): void {
  const { key, address, activated } = message;
  const listener = { key, address, scheme: schemeOf(message) };
  if (activated !== undefined) {
    const isFirst = options.listeners.claim(activated, listener);
    if (handle !== undefined) options.listeners.keep(listener, handle);
    return isFirst ? options.onListening(listener) : undefined;
  }
  if (handle === undefined) return;
  if (options.listeners.keep(listener, handle)) {
    options.onListening(listener);
    // The file of a unix socket is found by its path.
    if (address.kind === 'tcp') share(key, handle);
  }
}

/** As in a URL: HTTP/2 has none of its own, and is spoken without TLS as well. */
function schemeOf({
  scheme,
  secure,
}: Extract<WorkerMessage, { type: 'listening' }>): Listener['scheme'] {
  if (scheme !== 'http2') return scheme;
  return secure ? 'https' : 'http';
}

function listenFailed(
  to: Hearing,
  message: Extract<WorkerMessage, { type: 'listen_failed' }>,
): void {
  to.member.listenFailure = message.message;
  to.options.onListenFailure(message.message);
  // It was born before we knew of that socket, which a sibling bound meanwhile: our fault, not the
  // app's.
  if (message.code === 'EADDRINUSE' && to.options.listeners.has(message.key)) {
    to.options.emit({
      type: 'boot_failed',
      worker: to.worker,
      message: `${message.message} (bound by a sibling meanwhile)`,
      retryAtOnce: true,
    });
  }
}

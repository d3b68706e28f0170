/** What the wire to the gateways knows: of each worker who has it, of each gateway what it told. */
import type { QueueReport, ToGateway, UpstreamId } from '../data/gateway/messages.ts';
import type { SupervisorMessage, WorkerMessage, WorkerReport } from '../protocol.ts';
import { addReports } from './gateway-reports.ts';

/** How a worker is reached, and what for. */
export type Order = Omit<Extract<ToGateway, { type: 'worker' }>, 'type' | 'worker' | 'child'>;

/** What is the same for all workers of a pool. */
export type PoolOrder = Omit<Order, 'slot' | 'address' | 'noticeAt'>;

/** A worker that is a child of who listens at its address: which one, the gateway finds out. */
export interface ChildPost {
  readonly pidScript: string;
  /** It is this child, and it is connected; again after each loss. */
  onChild(pid: number): void;
  /** It is not connected any more. */
  onLost(): void;
}

/** How long what it keeps open may still go on. */
export type Farewell = (
  limits: Pick<SupervisorMessage & { type: 'drain' }, 'deadlineMs' | 'longDeadlineMs'>,
) => void;

/** One gateway process. */
export interface GatewayEnd {
  post(message: ToGateway): void;
}

/** What a gateway has told. */
export interface End {
  queue: QueueReport | null;
  readonly reports: Map<UpstreamId, WorkerReport>;
  readonly settled: Set<UpstreamId>;
  readonly drained: Set<UpstreamId>;
}

/** A worker behind them. */
export interface Behind {
  readonly order: Order;
  readonly hear: (message: WorkerMessage) => void;
  readonly child: Child | null;
  /** What is still to be said when it has settled. */
  farewell: (() => void) | null;
  draining: boolean;
  /** Those that it answered through gateways that are gone. */
  pastRequests: number;
}

export interface Child {
  readonly post: ChildPost;
  /** Null until it has told. */
  pid: number | null;
  /** The gateway that has it. */
  home: GatewayEnd | null;
}

/** Whether no gateway holds anything of it any more. */
export function isDrained(
  worker: UpstreamId,
  { child }: Behind,
  ends: ReadonlyMap<GatewayEnd, End>,
): boolean {
  return [...ends].every(
    ([end, { drained }]) => drained.has(worker) || (child !== null && child.home !== end),
  );
}

/**
 * What is left of a limit for another gateway, after so many requests; 0 = no limit. What a gateway
 * that was killed gave the worker since its last report nobody knows: so many it may get too many.
 */
export function limitLeft(limit: number, requests: number): number {
  return limit === 0 ? 0 : Math.max(1, limit - requests);
}

/** Of a worker, by all gateways that it has had. */
export function reportOf(
  worker: UpstreamId,
  { pastRequests }: Behind,
  ends: ReadonlyMap<GatewayEnd, End>,
): WorkerReport {
  return addReports(reportsOf(worker, ends), pastRequests);
}

// --- internal ---

function reportsOf(
  worker: UpstreamId,
  ends: ReadonlyMap<GatewayEnd, End>,
): readonly WorkerReport[] {
  return [...ends.values()].flatMap(({ reports }) => reports.get(worker) ?? []);
}

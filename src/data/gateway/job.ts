/** A visit while the gateway works on it: what the queue, the rotation and the clock know of it. */
import type { GatewayBody } from './body.ts';
import type { UpstreamId } from './messages.ts';
import type { Lane, Ticket } from './queue.ts';
import type { Member } from './rotation.ts';
import type { Abort } from './signal.ts';
import type { AbortReason, Tunnel, Visit, VisitorFacts } from './types.ts';
import type { AnyRequest, AnyResponse } from './refuse.ts';

export interface Job extends Visit {
  readonly body: GatewayBody;
  readonly lane: Lane;
  /** A health ask: no request of the public, in nobody's count. */
  readonly isAsk: boolean;
  /** The only worker that may take it; null = anybody in rotation. */
  readonly only: UpstreamId | null;
  abort(reason: AbortReason): void;
  /** Where it is: in the queue, at a worker, or neither. */
  ticket: Ticket<Job> | null;
  member: Member<Job> | null;
  /** In the queue; one deadline holds for all of it, however often it had to wait. */
  waitedMs: number;
  /** When a worker got it first; the deadline counts from there, through every retry. */
  startedAt: number | null;
  deadline: NodeJS.Timeout | null;
  /** Until it is told as slow. */
  slowAlarm: NodeJS.Timeout | null;
  tries: number;
  isLongLived: boolean;
}

export interface JobFacts {
  readonly request: AnyRequest;
  readonly response: AnyResponse;
  readonly target: string;
  readonly visitor: VisitorFacts;
  readonly body: GatewayBody;
  readonly lane: Lane;
  readonly isAsk?: boolean;
  readonly only?: UpstreamId | null;
  readonly ending: Abort;
  readonly tunnel?: Tunnel | undefined;
}

export function createJob(facts: JobFacts): Job {
  const { request, response, target, visitor, body, lane, ending, tunnel } = facts;
  lastId += 1;
  // Named one by one: spreading the facts took a twentieth of the time of a small request.
  const job: Job = {
    id: lastId,
    request,
    response,
    method: request.method ?? 'GET',
    target,
    visitor,
    body,
    signal: ending.signal,
    abort: ending.abort,
    lane,
    isAsk: facts.isAsk ?? false,
    only: facts.only ?? null,
    ticket: null,
    member: null,
    waitedMs: 0,
    startedAt: null,
    deadline: null,
    slowAlarm: null,
    tries: 0,
    isLongLived: false,
  };
  return tunnel === undefined ? job : { ...job, tunnel };
}

/** Whether it may be sent a second time although a worker may have begun on it. */
export function isIdempotent(job: Job): boolean {
  return IDEMPOTENT.has(job.method);
}

/** Whether its body can still be sent, from the beginning. */
export function hasWholeBody(job: Job): boolean {
  return job.body.replayable || !job.body.wasOpened();
}

/** Whether its answer may be a WebSocket or an event stream, and has not begun. */
export function mayBecomeLongLived({ isLongLived, tunnel, request }: Job): boolean {
  if (isLongLived) return false;
  return tunnel !== undefined || (request.headers.accept ?? '').includes('text/event-stream');
}

// --- internal ---

/** RFC 9110, 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

let lastId = 0;

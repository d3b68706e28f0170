/**
 * Brings requests and workers together: who waits, who gets the next place, what is tried again on
 * another worker, and when it has taken too long.
 */
import { performance } from 'node:perf_hooks';
import { takeOut } from './bag.ts';
import { messageOf } from './fault.ts';
import { hasWholeBody, isIdempotent, type Job } from './job.ts';
import type { FromGateway, GatewaySettings, UpstreamId } from './messages.ts';
import type { Report } from './report.ts';
import {
  createQueue,
  enter,
  enterFirst,
  expire,
  LANES,
  leave,
  nextDeadline,
  type Queue,
} from './queue.ts';
import { countRejection, countWait, type QueueBook, type Rejection } from './queue-book.ts';
import { cut, refuse } from './refuse.ts';
import {
  choose,
  give,
  hasPlace,
  hasServing,
  reportOf,
  takeBack,
  type Member,
  type Rotation,
} from './rotation.ts';
import type { AbortReason, ForwardResult } from './types.ts';

/** The dispatcher's state; made by {@link createDispatch}. */
export interface Dispatch extends DispatchParts {
  readonly queue: Queue<Job>;
  /** The timer of the queue's next deadline. */
  alarm: { readonly timer: NodeJS.Timeout; readonly at: number } | null;
}

export interface DispatchParts {
  readonly rotation: Rotation<Job>;
  readonly book: QueueBook;
  readonly settings: () => GatewaySettings;
  readonly tell: (message: FromGateway) => void;
  readonly report: Report;
  /** A request failed on it in a way that may mean its death. */
  readonly suspect: (member: Member<Job>) => void;
  readonly scriptOf: (target: string) => string | null;
  /** One of its requests has become a long-lived one. */
  readonly settled: (member: Member<Job>) => void;
  /** It holds one request less. */
  readonly freed: (member: Member<Job>) => void;
}

export function createDispatch(parts: DispatchParts): Dispatch {
  return { ...parts, queue: createQueue(), alarm: null };
}

/** Takes a request on: from now on it is answered in any case, here or by a worker. */
export function submit(dispatch: Dispatch, job: Job): void {
  if (job.signal.aborted) return finish(job);
  job.signal.addEventListener('abort', () => giveUp(dispatch, job));
  if (job.only !== null) return submitTo(dispatch, job, job.only);
  const { rotation, book, queue } = dispatch;
  const member = queue.lanes[job.lane].first === null ? choose(rotation, job.lane) : null;
  if (member !== null) {
    countWait(book, 0);
    return void run(dispatch, job, member);
  }
  const { queueLength: limit, queueTimeoutMs: ageMs } = dispatch.settings();
  job.ticket = enter(queue, job, { lane: job.lane, now: performance.now(), limit, ageMs });
  if (job.ticket === null) return reject(dispatch, job, 'queue_full');
  setAlarm(dispatch);
}

/** Workers or places came free: gives them to those who wait. */
export function pump(dispatch: Dispatch): void {
  const { rotation, queue, book } = dispatch;
  for (const member of rotation.members.values()) {
    while (member.asks.length > 0 && canAnswer(member)) {
      void run(dispatch, member.asks.shift()!, member);
    }
  }
  for (const lane of LANES) {
    for (let ticket = queue.lanes[lane].first; ticket !== null; ticket = queue.lanes[lane].first) {
      const member = choose(rotation, lane);
      if (member === null) break;
      leave(queue, ticket);
      const waitedMs = performance.now() - ticket.since;
      if (!ticket.again) countWait(book, waitedMs);
      ticket.item.waitedMs += waitedMs;
      void run(dispatch, ticket.item, member);
    }
  }
}

// --- internal ---

/** One worker may die while it holds a request; two in a row are more than bad luck. */
const TRIES_MAX = 2;
/** The supervisor asks one thing at a time; more than this is a fault, not a load. */
const ASKS_MAX = 16;

type Failure = ForwardResult & { type: 'failed' };

function submitTo(dispatch: Dispatch, job: Job, id: UpstreamId): void {
  const member = dispatch.rotation.members.get(id);
  const isThere = member !== undefined && member.phase !== 'draining';
  if (!isThere || member.asks.length >= ASKS_MAX) return answer(job, 503);
  if (canAnswer(member)) return void run(dispatch, job, member);
  member.asks.push(job);
}

function canAnswer(member: Member<Job>): boolean {
  return member.phase !== 'connecting' && hasPlace(member);
}

/** Never rejects: whatever throws on the way of this request is over with it. */
async function run(dispatch: Dispatch, job: Job, member: Member<Job>): Promise<void> {
  job.ticket = null;
  job.member = member;
  job.tries += 1;
  let last = false;
  if (job.isAsk) member.jobs.push(job);
  else {
    ({ last } = give(dispatch.rotation, member, job));
    if (last) dispatch.tell({ type: 'spent', worker: member.id });
  }
  startClock(dispatch, job);
  job.onLongLived = () => {
    if (job.isLongLived) return;
    job.isLongLived = true;
    member.longLived += 1;
    stopClock(job);
    dispatch.settled(member);
  };
  let result: ForwardResult;
  try {
    result = await member.upstream.forward(job, { last });
  } catch (error) {
    result = { type: 'failed', stage: 'fault', detail: messageOf(error) };
  }
  try {
    settle(dispatch, job, member, result);
  } catch (error) {
    cut(job.response);
    dispatch.report.faulted(job, error);
  }
}

function settle(dispatch: Dispatch, job: Job, member: Member<Job>, result: ForwardResult): void {
  const unsent = result.type === 'failed' && result.stage === 'unsent';
  if (job.isAsk) takeOut(member.jobs, job);
  else {
    takeBack(member, job, { reached: !unsent });
    if (!unsent && member.answered === member.noticeAt) {
      const report = reportOf(member);
      dispatch.tell({ type: 'report', worker: member.id, report, early: true });
    }
  }
  if (job.isLongLived) member.longLived -= 1;
  job.member = null;
  if (result.type === 'failed' && !BLAMELESS.has(result.stage)) dispatch.suspect(member);
  dispatch.freed(member);
  if (result.type === 'answered') {
    noteSlow(dispatch, job, member, result.status);
    finish(job);
  } else if (mayTryAgain(job, result)) tryAgain(dispatch, job);
  else fail(dispatch, job, member, result);
  pump(dispatch);
}

/** Failures that say nothing of the worker. */
const BLAMELESS: ReadonlySet<Failure['stage']> = new Set(['aborted', 'fault']);

function mayTryAgain(job: Job, { stage }: Failure): boolean {
  return (
    (stage === 'unsent' || (stage === 'unanswered' && isIdempotent(job))) &&
    job.tries < TRIES_MAX &&
    job.only === null &&
    job.body.fault() === null &&
    hasWholeBody(job) &&
    !job.signal.aborted &&
    !job.response.headersSent
  );
}

function tryAgain(dispatch: Dispatch, job: Job): void {
  const { book, queue, settings } = dispatch;
  book.retried += 1;
  const ageMs = Math.max(0, settings().queueTimeoutMs - job.waitedMs);
  job.ticket = enterFirst(queue, job, { lane: job.lane, now: performance.now(), ageMs });
  setAlarm(dispatch);
}

function fail(dispatch: Dispatch, job: Job, member: Member<Job>, result: Failure): void {
  const reason = job.signal.aborted ? (job.signal.reason as AbortReason) : null;
  // A client may also leave when its answer is complete, but not yet on the wire.
  const isGone = reason === 'client_gone' || (reason === null && result.stage === 'aborted');
  if (isGone) return finish(job);
  const fault = job.body.fault();
  if (fault === null) {
    if (reason === null && result.stage !== 'fault') dispatch.book.lost += 1;
    dispatch.report.failed(job, member.slot, reason ?? result.detail, result.stage);
  }
  answer(job, fault ?? (reason === null ? 502 : ABORTED_STATUS[reason]));
}

const ABORTED_STATUS = { client_gone: 502, deadline: 504, cut: 503 } as const;

/** The deadline counts from the first worker, through every retry. */
function startClock(dispatch: Dispatch, job: Job): void {
  if (job.startedAt !== null) return;
  job.startedAt = performance.now();
  if (job.isAsk) return;
  const { requestTimeoutMs, slowLogMs } = dispatch.settings();
  if (slowLogMs > 0) job.slowAlarm = setTimeout(() => tellLate(dispatch, job, 'slow'), slowLogMs);
  if (requestTimeoutMs === 0) return;
  job.deadline = setTimeout(() => {
    const { member } = job;
    // One request is all that it can do: it answers nobody until it is replaced.
    if (member?.concurrency === 1 && member.phase === 'serving') member.phase = 'stuck';
    tellLate(dispatch, job, 'overdue');
    job.abort('deadline');
  }, requestTimeoutMs);
}

function stopClock(job: Job): void {
  clearTimeout(job.deadline ?? undefined);
  clearTimeout(job.slowAlarm ?? undefined);
}

/** Nobody to be told of while it waits for its second worker. */
function tellLate({ report, scriptOf }: Dispatch, job: Job, type: 'slow' | 'overdue'): void {
  if (job.member === null) return;
  const tookMs = Math.round(performance.now() - (job.startedAt ?? 0));
  report.late(type, job, job.member.id, { script: scriptOf(job.target), tookMs });
}

/** The client left, or time is up. What a worker holds is settled when the worker let go of it. */
function giveUp({ queue, rotation, book }: Dispatch, job: Job): void {
  if (job.member !== null) return;
  const reason = job.signal.reason as AbortReason;
  if (job.ticket !== null && leave(queue, job.ticket)) {
    if (reason === 'client_gone') book.abandoned += 1;
  } else if (job.only !== null) {
    const asks = rotation.members.get(job.only)?.asks ?? [];
    if (asks.includes(job)) asks.splice(asks.indexOf(job), 1);
  }
  if (reason === 'client_gone') finish(job);
  else answer(job, ABORTED_STATUS[reason]);
}

function reject(dispatch: Dispatch, job: Job, reason: Rejection): void {
  countRejection(dispatch.book, reason);
  answer(job, 503);
}

function answer(job: Job, status: number): void {
  refuse(job.request, job.response, status);
  finish(job);
}

function finish(job: Job): void {
  stopClock(job);
  job.body.dispose();
}

function noteSlow(dispatch: Dispatch, job: Job, member: Member<Job>, status: number): void {
  const { slowLogMs } = dispatch.settings();
  if (slowLogMs === 0 || job.startedAt === null || job.isLongLived) return;
  const tookMs = performance.now() - job.startedAt;
  if (tookMs < slowLogMs) return;
  const script = dispatch.scriptOf(job.target);
  dispatch.report.wasSlow(job, member.slot, { status, tookMs, script });
}

function setAlarm(dispatch: Dispatch): void {
  const { queue, alarm } = dispatch;
  const at = nextDeadline(queue);
  if (alarm !== null && alarm.at <= at) return;
  if (alarm !== null) clearTimeout(alarm.timer);
  const timer = setTimeout(() => ring(dispatch), Math.max(1, at - performance.now()));
  dispatch.alarm = { timer, at };
}

function ring(dispatch: Dispatch): void {
  const { queue, rotation } = dispatch;
  dispatch.alarm = null;
  const reason = hasServing(rotation) ? 'queue_timeout' : 'no_worker';
  for (const { item } of expire(queue, performance.now())) reject(dispatch, item, reason);
  if (queue.size > 0) setAlarm(dispatch);
}

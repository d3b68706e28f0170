/**
 * Brings requests and workers together: who waits, who gets the next place, what is tried again on
 * another worker, and when it has taken too long.
 */
import { performance } from 'node:perf_hooks';
import { hasWholeBody, isIdempotent, type Job } from './job.ts';
import type { FromGateway, GatewaySettings } from './messages.ts';
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
import { refuse } from './refuse.ts';
import { choose, give, hasPlace, hasServing, takeBack, type Member, type Rotation } from './rotation.ts';
import type { ForwardResult } from './types.ts';

export interface Dispatch {
  readonly queue: Queue<Job>;
  /** Takes a request on: it is answered in any case, here or by a worker. */
  submit(job: Job): void;
  /** Workers or places came free: give them to those who wait. */
  pump(): void;
}

export interface DispatchParts {
  readonly rotation: Rotation<Job>;
  readonly book: QueueBook;
  readonly settings: () => GatewaySettings;
  readonly tell: (message: FromGateway) => void;
  readonly report: Report;
  /** A request failed on it in a way that may mean its death. */
  readonly suspect: (member: Member<Job>) => void;
  /** It holds one request less. */
  readonly freed: (member: Member<Job>) => void;
}

/** One worker may die while it holds a request; two in a row are more than bad luck. */
const TRIES_MAX = 2;
/** The supervisor asks one thing at a time; more than this is a fault, not a load. */
const ASKS_MAX = 16;

export function createDispatch(parts: DispatchParts): Dispatch {
  const { rotation, book, settings, tell, report } = parts;
  const queue = createQueue<Job>();
  let alarm: { readonly timer: NodeJS.Timeout; readonly at: number } | null = null;

  const submit = (job: Job): void => {
    if (job.signal.aborted) return finish(job);
    job.signal.addEventListener('abort', () => giveUp(job));
    if (job.only !== null) return submitTo(job, rotation.members.get(job.only));
    const member = queue.lanes[job.lane].first === null ? choose(rotation, job.lane) : null;
    if (member !== null) {
      countWait(book, 0);
      return void run(job, member);
    }
    const { queueLength: limit, queueTimeoutMs: ageMs } = settings();
    job.ticket = enter(queue, job, { lane: job.lane, now: performance.now(), limit, ageMs });
    if (job.ticket === null) return reject(job, 'queue_full');
    setAlarm();
  };

  const submitTo = (job: Job, member: Member<Job> | undefined): void => {
    const isThere = member !== undefined && member.phase !== 'draining' && member.phase !== 'gone';
    if (!isThere || member.asks.length >= ASKS_MAX) return answer(job, 503);
    if (member.phase !== 'connecting' && hasPlace(member)) return void run(job, member);
    member.asks.push(job);
  };

  const pump = (): void => {
    for (const member of rotation.members.values()) {
      while (member.asks.length > 0 && member.phase !== 'connecting' && hasPlace(member)) {
        void run(member.asks.shift() as Job, member);
      }
    }
    for (const lane of LANES) {
      for (let ticket = queue.lanes[lane].first; ticket !== null; ticket = queue.lanes[lane].first) {
        const member = choose(rotation, lane);
        if (member === null) break;
        leave(queue, ticket);
        if (ticket.since !== -Infinity) countWait(book, performance.now() - ticket.since);
        void run(ticket.item, member);
      }
    }
  };

  const run = async (job: Job, member: Member<Job>): Promise<void> => {
    job.ticket = null;
    job.member = member;
    job.tries += 1;
    let last = false;
    if (job.isAsk) member.jobs.add(job);
    else {
      ({ last } = give(rotation, member, job));
      if (last) tell({ type: 'spent', worker: member.id });
    }
    startClock(job);
    job.onLongLived = () => {
      if (job.isLongLived) return;
      job.isLongLived = true;
      member.longLived += 1;
      clearTimeout(job.deadline ?? undefined);
    };
    settle(job, member, await member.upstream.forward(job, { last }));
  };

  const settle = (job: Job, member: Member<Job>, result: ForwardResult): void => {
    const unsent = result.type === 'failed' && result.stage === 'unsent';
    if (job.isAsk) member.jobs.delete(job);
    else takeBack(member, job, { reached: !unsent });
    if (job.isLongLived) member.longLived -= 1;
    job.member = null;
    if (result.type === 'failed' && result.stage !== 'aborted') parts.suspect(member);
    parts.freed(member);
    if (result.type === 'answered') {
      noteSlow(job, member, result.status);
      finish(job);
    } else if (mayTryAgain(job, result)) tryAgain(job);
    else fail(job, member, result);
    pump();
  };

  const mayTryAgain = (job: Job, { stage }: ForwardResult & { type: 'failed' }): boolean =>
    (stage === 'unsent' || (stage === 'unanswered' && isIdempotent(job))) &&
    job.tries < TRIES_MAX &&
    job.only === null &&
    job.body.fault() === null &&
    hasWholeBody(job) &&
    !job.signal.aborted &&
    !job.response.headersSent;

  const tryAgain = (job: Job): void => {
    book.retried += 1;
    job.ticket = enterFirst(queue, job, job.lane, performance.now() + settings().queueTimeoutMs);
    setAlarm();
  };

  const fail = (job: Job, member: Member<Job>, result: ForwardResult & { type: 'failed' }): void => {
    const reason: unknown = job.signal.aborted ? job.signal.reason : null;
    if (reason !== 'client_gone' && job.body.fault() === null) {
      report.failed(job, member.slot, reason === null ? result.detail : String(reason), result.stage);
    }
    const status = job.body.fault() ?? (reason === 'deadline' ? 504 : reason === 'cut' ? 503 : 502);
    if (reason === 'client_gone') finish(job);
    else answer(job, status);
  };

  const startClock = (job: Job): void => {
    const { requestTimeoutMs } = settings();
    if (job.startedAt !== null) return;
    job.startedAt = performance.now();
    if (requestTimeoutMs === 0 || job.isAsk) return;
    job.deadline = setTimeout(() => {
      const { method, target, member } = job;
      const tookMs = Math.round(performance.now() - (job.startedAt ?? 0));
      if (member !== null) {
        tell({ type: 'overdue', worker: member.id, method, target, script: null, tookMs });
      }
      job.abort('deadline');
    }, requestTimeoutMs);
  };

  /** The client left, or the time was up: what waits leaves the queue, a worker's part ends there. */
  const giveUp = (job: Job): void => {
    if (job.member !== null) return;
    if (job.ticket !== null && leave(queue, job.ticket)) {
      if (job.signal.reason === 'client_gone') book.abandoned += 1;
    } else if (job.only !== null) {
      const asks = rotation.members.get(job.only)?.asks ?? [];
      if (asks.includes(job)) asks.splice(asks.indexOf(job), 1);
    }
    if (job.signal.reason === 'client_gone') finish(job);
    else answer(job, 504);
  };

  const reject = (job: Job, reason: Rejection): void => {
    countRejection(book, reason);
    answer(job, 503);
  };

  const answer = (job: Job, status: number): void => {
    refuse(job.request, job.response, status);
    finish(job);
  };

  const finish = (job: Job): void => {
    clearTimeout(job.deadline ?? undefined);
    job.body.dispose();
  };

  const noteSlow = (job: Job, member: Member<Job>, status: number): void => {
    const { slowLogMs } = settings();
    if (slowLogMs === 0 || job.startedAt === null || job.isLongLived) return;
    const tookMs = performance.now() - job.startedAt;
    if (tookMs >= slowLogMs) report.slow(job, member.slot, status, tookMs);
  };

  const setAlarm = (): void => {
    const at = nextDeadline(queue);
    if (alarm !== null && alarm.at <= at) return;
    if (alarm !== null) clearTimeout(alarm.timer);
    alarm = null;
    if (at === Infinity) return;
    const timer = setTimeout(onAlarm, Math.max(1, at - performance.now()));
    alarm = { timer, at };
  };

  const onAlarm = (): void => {
    alarm = null;
    const reason = hasServing(rotation) ? 'queue_timeout' : 'no_worker';
    for (const { item } of expire(queue, performance.now())) reject(item, reason);
    setAlarm();
  };

  return { queue, submit, pump };
}

/**
 * The rotation: which workers there are, how much each of them holds, and who gets the next
 * request. Pure bookkeeping: nothing here connects, waits or reads a clock.
 */
import type { WorkerReport } from '../../protocol.ts';
import { takeOut, type Bag } from './bag.ts';
import type { Lane } from './queue.ts';
import type { UpstreamId } from './messages.ts';
import type { Upstream } from './types.ts';

/**
 * connecting → (warming →) serving → draining; `spent`: it got its last request; `stuck`: for
 * good in a request past its deadline. A worker whose
 * connection failed goes back to connecting: the dead are the least loaded of all, and would
 * attract every request until somebody buried them.
 */
export type Phase = 'connecting' | 'warming' | 'serving' | 'spent' | 'stuck' | 'draining' | 'gone';

export interface Member<J> {
  readonly id: UpstreamId;
  readonly slot: number;
  /** 0 = no bound. */
  readonly concurrency: number;
  /** 0 = no limit. */
  readonly requestLimit: number;
  readonly noticeAt: number;
  readonly reserved: boolean;
  readonly upstream: Upstream;
  phase: Phase;
  /** Whether `joined` was said: a second time on the way to serving is none of the supervisor's. */
  joined: boolean;
  /** Requests of the public that it was given; those that never reached it are taken back. */
  given: number;
  answered: number;
  readonly jobs: Bag<J>;
  longLived: number;
  /** It answers nobody: only if there is nobody else. */
  silent: boolean;
  cutRequests: number;
  cutLongLived: number;
  /** Health asks that wait for this worker and no other. */
  readonly asks: J[];
  /** Turn of the rotation in which it was chosen last: among equals the longest rested is next. */
  turn: number;
}

export interface Rotation<J> {
  readonly members: Map<UpstreamId, Member<J>>;
  turn: number;
}

export function createRotation<J>(): Rotation<J> {
  return { members: new Map(), turn: 0 };
}

export function createMember<J>(
  order: Pick<
    Member<J>,
    'id' | 'slot' | 'concurrency' | 'requestLimit' | 'noticeAt' | 'reserved' | 'upstream'
  >,
): Member<J> {
  return {
    ...order,
    phase: 'connecting',
    joined: false,
    given: 0,
    answered: 0,
    jobs: [],
    longLived: 0,
    silent: false,
    cutRequests: 0,
    cutLongLived: 0,
    asks: [],
    turn: 0,
  };
}

/** The least loaded worker with a free place; probes may have a reserved one, and have it first. */
export function choose<J>(rotation: Rotation<J>, lane: Lane): Member<J> | null {
  let best: Member<J> | null = null;
  for (const member of rotation.members.values()) {
    if (member.reserved && lane !== 'probe') continue;
    if (member.phase !== 'serving' || !hasPlace(member)) continue;
    if (best === null || isBetter(member, best)) best = member;
  }
  return best;
}

/** Whether it can take one more at this moment, whoever asks. */
export function hasPlace<J>(member: Member<J>): boolean {
  return member.concurrency === 0 || member.jobs.length < member.concurrency;
}

/** Whether anybody serves the public at all: no worker is another trouble than no free worker. */
export function hasServing<J>(rotation: Rotation<J>): boolean {
  for (const { phase, reserved } of rotation.members.values()) {
    if (phase === 'serving' && !reserved) return true;
  }
  return false;
}

/** Gives it a request of the public; `last`: it never gets another. */
export function give<J>(rotation: Rotation<J>, member: Member<J>, job: J): { last: boolean } {
  member.jobs.push(job);
  member.given += 1;
  rotation.turn += 1;
  member.turn = rotation.turn;
  const last = member.given === member.requestLimit;
  if (last && member.phase === 'serving') member.phase = 'spent';
  return { last };
}

/** The request is over; `reached` false: the worker never saw it, so it counts for nothing. */
export function takeBack<J>(member: Member<J>, job: J, end: { readonly reached: boolean }): void {
  takeOut(member.jobs, job);
  if (end.reached) member.answered += 1;
  else member.given -= 1;
}

export function reportOf<J>(member: Member<J>): WorkerReport {
  const { answered, jobs, longLived } = member;
  return {
    requests: answered,
    inFlight: jobs.length,
    longLived,
    connections: jobs.length,
    heapUsedBytes: 0,
    eventLoopUtilization: 0,
  };
}

// --- internal ---

function isBetter<J>(one: Member<J>, other: Member<J>): boolean {
  if (one.reserved !== other.reserved) return one.reserved;
  if (one.silent !== other.silent) return other.silent;
  if (one.jobs.length !== other.jobs.length) return one.jobs.length < other.jobs.length;
  return one.turn < other.turn;
}
